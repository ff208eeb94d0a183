"""Weight-only int8 and int4: where the bits lie, how near the weights are, what is replaced, the cost."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import kernel_for
from sinkbench.engines.fused.weights import check_supported
from sinkbench.errors import Unavailable
from sinkbench.model.loading import load_model, random_model, weight_bytes_per_token
from sinkbench.policies import Visibility
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from sinkbench.quantization.weight_only import QuantizedLinear, pack, unpack
from sinkbench.text.corpora import documents
from sinkbench.text.tokens import load_tokenizer
from torch._inductor import config as inductor

BITS = [8, 4]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SHAPE = {"vocab_size": 96, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE["intermediate_size"] = 256
DEMO = {"source": "folder", "path": str(ROOT / "resources/demo-model"), "dtype": "float32"}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(rows: int, inputs: int, dtype: torch.dtype, bias: bool = True) -> torch.nn.Linear:
    """Random weights whose rows and columns differ in size, tenfold each."""
    layer = torch.nn.Linear(inputs, rows, bias=bias, dtype=dtype).requires_grad_(False)
    exponents = torch.rand(rows, 1, generator=generator(1)) + torch.rand(inputs, generator=generator(2))
    layer.weight.copy_(10 ** (exponents - 2) * torch.randn(rows, inputs, generator=generator(0)))
    return layer


def integers(rows: int, groups: int, bits: int, seed: int) -> torch.Tensor:
    """Any q of the format, int8 [rows, 128 * groups]."""
    low, high = {8: (-127, 128), 4: (-8, 8)}[bits]
    return torch.randint(low, high, (rows, 128 * groups), generator=generator(seed), dtype=torch.int8)


@settings(max_examples=30, deadline=None)
@given(bits=st.sampled_from(BITS), rows=st.integers(1, 5), groups=st.integers(1, 4), seed=st.integers(0, 999))
def test_every_integer_lies_at_its_bits(bits, rows, groups, seed):
    q = integers(rows, groups, bits, seed)
    packed, columns = pack(q, bits), 128 * bits // 32
    assert packed.dtype == torch.int32 and packed.shape == (rows, groups * columns)
    for k in range(q.shape[1]):
        group, plane, column = k // 128, k % 128 // columns, k % columns
        stored = packed[:, group * columns + column].long() % 2**32 // 2 ** (bits * plane) % 2**bits
        assert stored.tolist() == (q[:, k].long() + 2 ** (bits - 1)).tolist()
    assert torch.equal(unpack(packed, bits), q)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64])
@pytest.mark.parametrize("bits", BITS)
def test_error_is_within_half_a_scale(bits, dtype):
    """int4 maps the largest weight to -8 and ends at 7: an opposite may be off by a whole scale."""
    layer = linear(64, 384, dtype)
    quantized = QuantizedLinear(layer, bits)
    assert quantized.scales.dtype == quantized.weight.dtype == dtype
    groups = quantized.scales.shape[1]
    assert groups == {8: 1, 4: 3}[bits]
    wide = layer.weight.double().view(64, groups, -1)
    scales, near = quantized.scales.double()[..., None], quantized.weight.double().view_as(wide)
    rounding = torch.finfo(dtype).eps / 2 * near.abs() + 1e-12
    clipped = wide / scales > 7.5 if bits == 4 else torch.zeros_like(wide, dtype=torch.bool)
    bound = torch.where(clipped, 1.0, 0.5) * scales.abs() * (1 + 1e-6) + rounding
    assert ((wide - near).abs() <= bound).all()
    lowest, highest = (wide / scales).aminmax(dim=-1)
    assert ((highest - 127 if bits == 8 else lowest + 8).abs() < 0.5).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", BITS)
def test_weight_is_the_float32_product_rounded_once(bits, dtype):
    quantized = QuantizedLinear(linear(16, 256, dtype), bits)
    scales = quantized.scales.float().repeat_interleave(256 // quantized.scales.shape[1], dim=1)
    product = scales * unpack(quantized.packed, bits).float()
    assert torch.equal(quantized.weight, product.to(dtype))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_forward_is_a_linear_layer_with_the_dequantised_weight(bits, bias):
    layer = linear(24, 256, torch.bfloat16, bias=bias)
    quantized = QuantizedLinear(layer, bits)
    assert (quantized.bits, quantized.in_features, quantized.out_features) == (bits, 256, 24)
    assert quantized.bias is layer.bias
    x = torch.randn(2, 5, 256, generator=generator(3)).bfloat16()
    wanted = torch.nn.functional.linear(x, quantized.weight, layer.bias)
    assert torch.equal(quantized(x), wanted)


@pytest.mark.parametrize("bits", BITS)
def test_forward_is_one_graph(bits):
    quantized = QuantizedLinear(linear(8, 128, torch.float32), bits)
    compiled = torch.compile(quantized, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 128, generator=generator(4))
    assert torch.equal(compiled(x), quantized(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", BITS)
def test_extreme_rows_stay_finite(bits, dtype):
    """Zero stays zero; weights near the ends of the dtype's range neither vanish the scale nor overflow."""
    layer, limits = linear(3, 128, dtype), torch.finfo(dtype)
    layer.weight[0] = 0
    layer.weight[1] = limits.tiny * torch.linspace(-1, 1, 128).to(dtype)
    layer.weight[2] = limits.max * torch.linspace(-1, 1, 128).to(dtype)
    quantized = QuantizedLinear(layer, bits)
    assert quantized.scales.isfinite().all() and (quantized.scales != 0).all()
    assert (quantized.weight[0] == 0).all()
    assert quantized.weight[1].abs().max() <= limits.tiny
    assert quantized.weight.isfinite().all()
    assert quantized.weight[2].abs().max() > 0.97 * limits.max


@pytest.mark.parametrize("bits", BITS)
def test_rows_in_chunks_are_the_rows_at_once(bits, monkeypatch):
    layer = linear(11, 128, torch.float32)
    whole = QuantizedLinear(layer, bits)
    monkeypatch.setattr("sinkbench.quantization.weight_only.CHUNK", 3 * 128)
    parts = QuantizedLinear(layer, bits)
    assert torch.equal(whole.packed, parts.packed) and torch.equal(whole.scales, parts.scales)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("inputs", [64, 192, 576])
def test_a_last_group_that_is_not_full_has_the_numbers_of_one_filled_with_zeros(bits, inputs):
    layer, filled = linear(7, inputs, torch.float32), linear(7, inputs + -inputs % 128, torch.float32)
    filled.weight.data.zero_()[:, :inputs] = layer.weight.data
    filled.bias = layer.bias
    own, whole = QuantizedLinear(layer, bits), QuantizedLinear(filled, bits)
    assert torch.equal(own.packed, whole.packed) and torch.equal(own.scales, whole.scales)
    assert torch.equal(own.weight, whole.weight[:, :inputs])
    x = torch.randn(3, inputs)
    torch.testing.assert_close(own(x), torch.nn.functional.linear(x, own.weight, layer.bias))


def test_the_fused_engine_reads_whole_groups_only():
    model = random_model({**SHAPE, "intermediate_size": 192}, 0, torch.float32, "cpu")
    with pytest.raises(Unavailable) as caught:
        check_supported(apply_format(format_row("int8_mlp"), model))
    assert "dense_4h_to_h has K = 192 inputs; packed it reads groups of 128" in str(caught.value)


@pytest.mark.parametrize("word", ["int8", "int4", "int8_mlp", "int4_mlp"])
def test_what_is_replaced(word):
    model = random_model(SHAPE, 0, torch.bfloat16, "cpu")
    before = dict(model.named_modules())
    assert apply_format(format_row(word), model) is model
    replaced = {name for name, module in model.named_modules() if before[name] is not module}
    wanted = ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]
    wanted += [] if "mlp" in word else ["attention.query_key_value", "attention.dense"]
    layers = {f"gpt_neox.layers.{index}.{name}" for index in range(2) for name in wanted}
    assert replaced == layers | (set() if "mlp" in word else {"lm_head"})
    assert {model.get_submodule(name).bits for name in replaced} == {int(word[3])}


# Each of SHAPE's two blocks has 384 + 128 + 256 rows of 128 weights and 128 rows of 256: 1,024 groups of 128.
MATRICES, HEAD = 2 * 128 * 1024, 128 * 96
SCALES = {"int8": 2 * (384 + 128 + 256 + 128) + 96, "int4": 2 * 1024 + 96}
OTHERS = 2 * (384 + 128 + 256 + 128 + 4 * 128) + 2 * 128  # biases and layer norms


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("none", 2 * (MATRICES + HEAD + OTHERS)),
        ("int8", MATRICES + HEAD + 2 * (SCALES["int8"] + OTHERS)),
        ("int4", (MATRICES + HEAD) // 2 + 2 * (SCALES["int4"] + OTHERS)),
        ("int4_mlp", MATRICES // 4 + 2 * (2 * 2 * 256) + 2 * (MATRICES // 2 + HEAD + OTHERS)),
    ],
)
def test_bytes_per_token_by_hand(word, expected, tied):
    model = random_model({**SHAPE, "tie_word_embeddings": tied}, 0, torch.bfloat16, "cpu")
    assert weight_bytes_per_token(apply_format(format_row(word), model)) == expected


# Mean |change of an NLL| in nats that was measured over _pydecimal's first 512 tokens
CHANGE = {"int8": 0.0256, "int8_mlp": 0.0174, "int4": 0.328, "int4_mlp": 0.221}


@pytest.fixture(scope="module")
def text() -> torch.Tensor:
    """The start token and 512 tokens of a module of the standard library."""
    tokenizer = load_tokenizer(Path(DEMO["path"]) / "tokenizer.json")
    [(_, source)] = documents({"name": "stdlib", "kind": "stdlib", "modules": ["_pydecimal"]})
    ids = [tokenizer.token_to_id("<|endoftext|>"), *tokenizer.encode(source, add_special_tokens=False).ids]
    return torch.tensor(ids[:513])


@pytest.mark.parametrize("word", list(CHANGE))
def test_nlls_of_a_trained_model_change_a_little(word, text):
    nll = {}
    for name in ("none", word):
        evaluator = Evaluator(apply_format(format_row(name), load_model(DEMO, "cpu")), chunk_tokens=128)
        nll[name] = evaluator.stream(text, Visibility(sinks=4, recent=124))
    change = nll[word] - nll["none"]
    assert CHANGE[word] / 2 < change.abs().mean() < 2 * CHANGE[word]


TORCHAO = ["torchao_int8_mlp", "torchao_int8", "torchao_int8_dynamic_mlp", "torchao_int8_dynamic"]


@pytest.mark.parametrize("word", TORCHAO)
def test_torchao_reads_fewer_bytes_and_stays_near(word):
    ids = torch.randint(96, (60,), generator=generator(3))
    plain = random_model(SHAPE, 0, torch.float32, "cpu").eval().requires_grad_(False)
    exact, before = Evaluator(plain, 32).stream(ids, Visibility(2, 20)), weight_bytes_per_token(plain)
    options = inductor.get_config_copy()
    quantized = apply_format(format_row(word), plain)
    assert inductor.get_config_copy() == options
    mlp = 2 * 2 * 128 * 256
    replaced = mlp + (0 if word.endswith("_mlp") else 2 * 4 * 128 * 128)
    saved = before - weight_bytes_per_token(quantized)
    assert 0.95 * 3 * replaced < saved <= 3 * replaced  # a byte for four, and a scale per row
    gap = (Evaluator(quantized, 32).stream(ids, Visibility(2, 20)) - exact).abs()
    assert 0 < gap.mean() < 0.02


@pytest.mark.parametrize(
    "word, fuses",
    [("none", True), ("int8", True), ("torchao_int8", False), ("torchao_int8_dynamic", False)],
)
def test_chunks_are_compiled_around_plain_weights_alone(word, fuses):
    model = apply_format(format_row(word), random_model(SHAPE, 0, torch.float32, "cpu"))
    kernel = kernel_for(SimpleNamespace(device=torch.device("cuda"), parameters=model.parameters))
    assert (kernel.prepare(len) is not len) == fuses


def test_torchao_int4_says_why_it_cannot_run():
    if torch.cuda.is_available():
        pytest.skip("it runs on CUDA")
    model = random_model(SHAPE, 0, torch.bfloat16, "cpu")
    with pytest.raises(Unavailable, match="torchao Int4WeightOnlyConfig: "):
        apply_format(format_row("torchao_int4"), model)


@pytest.mark.parametrize("word", ["torchao_int4", "torchao_int4_mlp"])
def test_inputs_that_are_no_groups_are_refused_in_torchaos_place(word):
    """TorchAO alone would leave such a layer as it is, without a word."""
    shape = {**SHAPE, "hidden_size": 192, "intermediate_size": 800}
    with pytest.raises(Unavailable, match=r"needs a multiple of 128$"):
        apply_format(format_row(word), random_model(shape, 0, torch.bfloat16, "cpu"))


@pytest.mark.parametrize(
    ("left", "said"),
    [("", "8 of 8 layers were not quantized, such as"), ("dense_4h_to_h", "2 of 8 layers were not")],
)
def test_layers_that_a_library_declines_without_a_word_are_counted(left, said, monkeypatch):
    from torchao import quantization as library

    def declining(model, config, filter_fn):
        return real(
            model, config, filter_fn=lambda *layer: left and filter_fn(*layer) and left not in layer[1]
        )

    real = library.quantize_
    monkeypatch.setattr(library, "quantize_", declining)
    model = random_model(SHAPE, 0, torch.float32, "cpu")
    with pytest.raises(Unavailable, match=said):
        apply_format(format_row("torchao_int8"), model)


@pytest.mark.parametrize("word", ["int8", "torchao_int8"])
def test_a_model_without_a_layer_of_the_name_is_not_quantized(word):
    model = random_model(SHAPE, 0, torch.float32, "cpu")
    for layer in model.gpt_neox.layers:
        layer.mlp.up = layer.mlp.dense_h_to_4h
        del layer.mlp.dense_h_to_4h
    with pytest.raises(Unavailable, match="the model has no layer called dense_h_to_4h"):
        apply_format(format_row(word), model)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
        RuntimeError("No CUDA GPUs are available"),
        AssertionError("Torch not compiled with CUDA enabled"),
        ImportError("Requires fbgemm"),
    ],
)
def test_a_library_that_asks_for_cuda_where_there_is_none_is_unavailable(error, monkeypatch):
    from torchao import quantization as library

    def failing(*_, **__):
        raise error

    monkeypatch.setattr(library, "quantize_", failing)
    with pytest.raises(Unavailable, match="torchao Int8WeightOnlyConfig: "):
        apply_format(format_row("torchao_int8"), random_model(SHAPE, 0, torch.float32, "cpu"))


def test_a_fault_of_a_library_is_a_fault(monkeypatch):
    from torchao import quantization as library

    monkeypatch.setattr(library, "quantize_", lambda *_, **__: [][0])
    with pytest.raises(IndexError):
        apply_format(format_row("torchao_int8"), random_model(SHAPE, 0, torch.float32, "cpu"))
