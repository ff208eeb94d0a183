"""The fused kernels in Triton's interpreter against float64, and compiled for the cards they must run on."""

import os
import re
import subprocess
import sys

import pytest
import torch
from helpers import ROOT

pytest.importorskip("triton")

import triton
import triton.language as tl
from helpers import decode
from interpreted import DEVICE, VOCABULARY, Interpreted, model_of, use_tiles
from sinkbench.attention import ring as rings
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines.decode import decode_nll
from sinkbench.engines.fused.fixed_point import multiply_words
from sinkbench.engines.fused.matvec import load_inputs
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.step import FusedStep
from sinkbench.engines.fused.weights import check_supported
from sinkbench.errors import Unavailable
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.policies import Visibility, build
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from sinkbench.quantization.weight_only import pack


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles that do not divide the shapes."""
    use_tiles(monkeypatch, rows=8, inputs=32)


def check_exact(
    model, visibility: Visibility, texts: torch.Tensor, start: int, tolerance: float = 3e-5
) -> None:
    """Steps on texts [batch, T] from `start` on against the evaluator in float64, every output poisoned."""
    evaluator = Evaluator(model, 16)
    evaluator.kernel = MaskedKernel()
    ring = FusedRing(model, visibility, len(texts))
    for row, text in enumerate(texts):
        ring.load(evaluator.prefill(text[:start], visibility)[0], row)
    step = FusedStep(model, ring, pdl=False)
    step.begin()
    losses = []
    for token, target in zip(texts[:, start:-1].unbind(1), texts[:, start + 1 :].unbind(1), strict=True):
        step.tokens.copy_(token)
        step.logits.fill_(float("nan"))
        losses.append(token_nll_of_logits(step(), target))
    exact = Evaluator(model.double().cpu(), 16)
    expected = torch.stack([exact.stream(text, visibility)[start:] for text in texts.cpu()])
    torch.testing.assert_close(torch.stack(losses, 1).cpu().double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("batch", "sinks", "recent", "start", "length"),
    [(1, 4, 7, 2, 14), (1, 0, 10, 12, 15), (1, 0, 34, 36, 39), (3, 4, 7, 11, 14)],
)
def test_steps_compute_the_exact_nlls(batch, sinks, recent, start, length):
    """With keys in two, three and nine splits, and in one of a batch."""
    texts = torch.randint(VOCABULARY, (batch, length), device=DEVICE)
    check_exact(model_of(), Visibility(sinks, recent), texts, start)


REFRESHED = {
    "reprefill": {"refresh_every": 3, "lookback": 9},
    "select": {
        "refresh_every": 3,
        "lookback": 40,
        "selected_tokens": 3,
        "query_window": 2,
        "pool_kernel": 1,
    },
    "select-shared": {
        "refresh_every": 2,
        "lookback": 11,
        "selected_tokens": 5,
        "pool_kernel": 3,
        "shared": True,
    },
    "repeat_lookup": {
        "refresh_every": 4,
        "lookback": 40,
        "selected_tokens": 4,
        "copied_span": 3,
        "match_ends": 2,
    },
}


# From within the sinks, before a refresh that is due, and between two.
@pytest.mark.parametrize(
    ("name", "sinks", "start", "length"),
    [
        ("select", 4, 1, 17),
        ("reprefill", 4, 12, 17),
        pytest.param("select-shared", 0, 9, 20, marks=pytest.mark.slow),
        pytest.param("repeat_lookup", 4, 9, 20, marks=pytest.mark.slow),
    ],
)
def test_refreshed_caches_give_the_exact_nlls(captures, name, sinks, start, length):
    """Chosen keys at their true distance, sinks at theirs, queries of every layer."""
    policy = build(name.split("-")[0], {"budget": sinks + 7, "sinks": sinks, **REFRESHED[name]})
    model, text = model_of(**SMALL), torch.randint(VOCABULARY, (length,), device=DEVICE)
    text[12:16] = text[4:8]  # something to copy
    decoded = decode(Interpreted(model, policy), text, start)
    assert captures
    exact = Evaluator(model.double().cpu(), 16).refreshed(text.cpu(), policy)[start - 1 :]
    torch.testing.assert_close(decoded.cpu().double(), exact, rtol=0, atol=3e-5)


SMALL = {"hidden_size": 20, "num_attention_heads": 2, "intermediate_size": 36, "num_hidden_layers": 2}
LEAST = SMALL | {"num_hidden_layers": 1}
KEPT = {
    "streaming": build("streaming", {"budget": 5, "sinks": 2}),
    "select": build("select", {"budget": 8, "sinks": 2, **REFRESHED["select"]}),
}


@torch.inference_mode()
def poison(engine) -> None:
    """Spoil all that a prefill, or an earlier kernel of the same step, must write before it is read."""
    step, ring = engine.fused, engine.ring
    parts = [step.tables, step.residual, *step.inputs, step.qkv, step.attended, step.activated, step.logits]
    for part in [*parts, *step.partial[:3], ring.keys, ring.values, ring.sink_keys, ring.queries]:
        part.fill_(float("nan"))
    for part in (step.tokens, step.state, step.position):
        part.fill_(1 << 40)


# The ring fills on the way, and is full.
@pytest.mark.parametrize(
    ("name", "starts"), [("streaming", (2, 7)), ("streaming", (7, 2)), ("select", (9, 3))]
)
def test_a_second_prompt_takes_the_same_step_and_meets_nothing_of_the_first(captures, name, starts):
    """Which was interrupted, and whose numbers are spoilt."""
    model, texts = model_of(**LEAST), torch.randint(VOCABULARY, (2, 12), device=DEVICE)
    fresh = [decode(Interpreted(model, KEPT[name]), *each) for each in zip(texts, starts, strict=True)]
    captures.clear()
    engine = Interpreted(model, KEPT[name])
    decode(engine, texts[0, : starts[0] + 2], starts[0])
    kept = engine.fused
    poison(engine)
    assert torch.equal(decode(engine, texts[1], starts[1]), fresh[1])
    engine.reset()
    assert torch.equal(decode(engine, texts[0], starts[0]), fresh[0])
    assert engine.fused is kept and len(captures) == 1
    engine.separate_launches()
    decode(engine, texts[0, : starts[0] + 2], starts[0])
    assert len(captures) == 2 and captures[1] is not kept


def test_only_a_ring_of_constant_size_is_kept_and_one_of_several_streams_until_a_reset(captures, monkeypatch):
    monkeypatch.setattr(rings, "SLOT_MULTIPLE", 10)
    model, texts = model_of(**LEAST), torch.randint(VOCABULARY, (2, 8), device=DEVICE)
    engine, steps = Interpreted(model, KEPT["streaming"]), []
    for batch in (1, 2, 2, 1):
        decode_nll(engine, texts[:batch], 6)
        steps.append(engine.fused)
    assert len({*map(id, steps)}) == len(captures) == 3 and steps[1] is steps[2]
    decode_nll(engine, texts, 6)
    engine.reset()
    assert engine.ring is engine.fused is None
    growing, weights = Interpreted(model, build("dense", {"max_tokens": 9})), set()
    for _ in range(2):
        decode(growing, texts[0], 6)
        weights.add(id(growing.weights))
    assert len(captures) == 6 and len(weights) == 1
    growing.reset()
    assert growing.ring is growing.fused is None


# Both widths of word, with and without the layers that stay unquantized, for one stream and for several.
QUICK = {("int4", 1), ("int8_mlp", 3)}
QUANTIZED = [
    pytest.param(word, batch, marks=[] if (word, batch) in QUICK else pytest.mark.slow)
    for word in ("int8", "int8_mlp", "int4", "int4_mlp")
    for batch in (1, 3)
]


@pytest.mark.parametrize(("word", "batch"), QUANTIZED)
def test_steps_of_a_float32_model_compute_with_the_quantized_weights(word, batch):
    """Widths of one group and of several; the head's rows are no multiple of a tile's.

    In half precision weights are not rounded as the evaluator's are (see test_massive).

    One stream's inputs are integers of 16 bits, and its errors come from there; several streams' are not.
    """
    shape = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 384}
    model = apply_format(format_row(word), model_of(initializer_range=0.2, **shape))
    texts = torch.randint(VOCABULARY, (batch, 12), device=DEVICE)
    check_exact(model, Visibility(2, 5), texts, 9, tolerance=3e-4 if batch == 1 else 3e-5)


@triton.jit
def packed_product_kernel(words, x, out, K: tl.constexpr, BITS: tl.constexpr):
    """out [rows] = W x for packed W [rows, K], one row a program, as `multiply_rows` multiplies a tile."""
    row = tl.program_id(0)
    columns = tl.arange(0, K * BITS // 32)
    tile = tl.load(words + row * (K * BITS // 32) + columns)[None, :]
    product = multiply_words(tile, load_inputs(x, 0, K, BITS, K, True), BITS)
    tl.store(out + row, tl.sum(product))


def packed_product(q: torch.Tensor, x: torch.Tensor, bits: int) -> torch.Tensor:
    out = torch.full((len(q),), float("nan"), device=DEVICE)
    packed_product_kernel[(len(q),)](pack(q, bits).to(DEVICE), x.to(DEVICE), out, K=len(x), BITS=bits)
    return out.cpu()


@pytest.mark.parametrize("bits", [4, 8])
def test_integers_of_16_bits_are_multiplied_exactly(bits):
    """All integers of a chunk whose largest is 32,767 are what they stand for; only float32 sums round."""
    q = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, 256), dtype=torch.int8)
    x = torch.randint(-32767, 32768, (256,)).float()
    x[::4] = 32767  # neighbours in a plane are neighbouring words, four of which are a chunk
    expected = q.double() @ x.double()
    error = (packed_product(q, x, bits).double() - expected).abs().max()
    assert error <= 2**-22 * (q.double().abs() @ x.double().abs()).max()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e20])
def test_rounding_to_16_bits_is_relative_to_the_neighbours(bits, scale):
    q = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, 256), dtype=torch.int8)
    x = scale * torch.randn(256)
    error = (packed_product(q, x, bits).double() - q.double() @ x.double()).abs()
    assert (error <= 2**-15 * float(x.abs().max()) * q.double().norm(dim=1)).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_among_the_inputs_is_not_lost(bad):
    x = torch.randn(128)
    x[77] = bad
    assert not packed_product(torch.ones(2, 128, dtype=torch.int8), x, 8).isfinite().any()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use_parallel_residual": False}, "no GPT-NeoX with a parallel residual"),
        ({"hidden_act": "relu"}, "'relu'"),
    ],
)
def test_models_that_the_kernels_do_not_compute_are_refused_by_name(changes, reason):
    with pytest.raises(Unavailable, match=reason):
        check_supported(model_of(**changes))


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["80", "90"])  # A100 and A800; H100, H200 and H800
def test_kernels_compile_and_fit_without_a_gpu(capability):
    shared = [int(found) for found in re.findall(r"shared_bytes=(\d+)", compiled(capability))]
    assert len(shared) == 34 and max(shared) <= 163 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("size", ["70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b"])
@pytest.mark.parametrize("capability", ["80", "90"])
def test_no_kernel_of_one_stream_runs_out_of_registers(capability, size):
    """With weights of each width; `embed_kernel` is left out, whose sine keeps a table in memory."""
    shown = re.findall(r"(\w+) shared_bytes.* stack_bytes=(\d+)", compiled(capability, size))
    spilled = [int(nbytes) for kernel, nbytes in shown if kernel != "embed_kernel"]
    assert len(spilled) == 12 and max(spilled[:9]) == 0  # the last three are a block's, which may spill


def compiled(*arguments: str) -> str:
    """What tests/compile_kernels.py prints."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "scripts"), str(ROOT / "benchmarks")))
    command = [sys.executable, str(ROOT / "tests/compile_kernels.py"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


def test_weights_in_a_foreign_format_are_refused_by_name():
    model = model_of(hidden_size=128, num_attention_heads=4, intermediate_size=128)
    with pytest.raises(Unavailable, match="fused: weights are Int8Tensor"):
        check_supported(apply_format(format_row("torchao_int8_mlp"), model))


def test_the_step_knows_what_its_kernels_must_read():
    """Weights of both kinds of launch and of the head, and the keys and values that the next token sees."""
    model = model_of()
    ring = FusedRing(model, Visibility(4, 7), 2)
    ring.position = 20
    read = FusedStep(model, ring, pdl=False, asks=False).bytes_read()
    seen = 2 * (4 + 7) * 2 * 60  # keys and values, sinks and recent, two streams, width
    assert read == {
        "qkv_attention_up_kernel": 4 * (60 * 180 + 60 * 100 + seen),
        "dense_down_kernel": 4 * (60 * 60 + 60 * 100),
        "head_kernel": 4 * 60 * VOCABULARY,
    }
