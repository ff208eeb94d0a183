"""Known answers of every family: transformers' own classes, and the cache as its definition reads."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import transformers
from helpers import decode
from model_families import LINEAR, SCALED, SHAPES, TEXT, model_of
from naive_cache import NaiveCache
from safetensors.torch import load_file, save_file
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.fused.weights import check_supported
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.speculator import block_logits
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable, UserError
from sinkbench.measure.stub import without_attention
from sinkbench.model.families import FAMILIES, family_of, parts_of, shape_of
from sinkbench.model.loading import cache_bytes_per_key, load_model, weight_bytes_per_token
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.policies import Visibility
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy as Streaming
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from sinkbench.runtime.compile_cost import CompileCost

SINKS, RECENT = 3, 21
STEPWISE = ["eager", "eager_flash", "static", "paper"]


@pytest.fixture(params=SHAPES)
def name(request) -> str:
    return request.param


def saved(name: str, folder: Path) -> Path:
    """A checkpoint as transformers writes it."""
    model_of(name).save_pretrained(folder)
    return folder


@torch.inference_mode()
def stock_nll(model, ids: torch.Tensor) -> torch.Tensor:
    return token_nll_of_logits(model(ids[None, :-1]).logits[0].float(), ids[1:])


def test_every_family_is_tried():
    assert {name.split("-")[0] for name in SHAPES} == set(FAMILIES)


def test_a_checkpoint_is_the_model_that_transformers_loads(name, tmp_path):
    folder = saved(name, tmp_path / "model")
    own = load_model({"source": "folder", "path": str(folder), "dtype": "float32"}, "cpu")
    stock = getattr(transformers, family_of(own).model).from_pretrained(folder).eval()
    assert torch.equal(own(TEXT[None]).logits, stock(TEXT[None]).logits)
    assert own.state_dict().keys() == stock.state_dict().keys()


def test_dense_text_and_text_within_the_budget_score_as_by_transformers(name):
    model = model_of(name)
    stock, evaluator = stock_nll(model, TEXT), Evaluator(model, 32)
    for nll in (evaluator.dense(TEXT), evaluator.stream(TEXT, Visibility(SINKS, len(TEXT)))):
        assert abs(nll.mean() - stock.mean()) < 1e-4 and (nll - stock).abs().max() < 1e-3


def test_streaming_scores_as_the_definition_says(name):
    model = model_of(name, torch.float64)
    cache, nll = NaiveCache(model, SINKS, RECENT), []
    for token, target in pairwise(TEXT):
        nll.append(-cache.read(token).log_softmax(-1)[target])
    exact = Evaluator(model, 32).stream(TEXT, Visibility(SINKS, RECENT))
    torch.testing.assert_close(exact, torch.stack(nll), atol=1e-7, rtol=0)


def test_engines_decode_what_the_evaluator_scores(name):
    model, policy = model_of(name, torch.float64), Streaming(budget=SINKS + RECENT, sinks=SINKS)
    evaluator = Evaluator(model, 32)
    exact = evaluator.stream(TEXT, policy.visibility(0))[9:]
    for word in STEPWISE:
        engine = engines.build(engine_row(word), model, policy, evaluator)
        torch.testing.assert_close(decode(engine, TEXT, 10), exact, atol=1e-7, rtol=0)
    blocks = BlockDecoder(model, policy, evaluator, block=4)
    scores = torch.cat(list(block_logits(blocks, TEXT, 10)))
    torch.testing.assert_close(token_nll_of_logits(scores, TEXT[10:]), exact, atol=1e-7, rtol=0)


@pytest.mark.parametrize("word", ["hf", "hf_eager", "growing", "fresh"])
def test_dense_engines_decode_dense_text(name, word):
    model, evaluator = model_of(name), Evaluator(model_of(name), 32)
    policy = Streaming(budget=len(TEXT), sinks=0) if word == "fresh" else Dense(max_tokens=len(TEXT))
    nll = decode(engines.build(engine_row(word), model, policy, evaluator), TEXT, 10)
    torch.testing.assert_close(nll, evaluator.dense(TEXT)[9:], atol=1e-3, rtol=0)


def test_frequencies_are_transformers_in_float64(name):
    model = model_of(name)
    own = family_of(model).frequencies(vars(model.config))
    torch.testing.assert_close(torch.tensor(own).float(), model.base_model.rotary_emb.inv_freq)
    assert 2 * len(own) == shape_of(model).rotary_dim


def test_sizes_are_those_of_the_tensors(name):
    """What planning computes of a config alone, and what is counted of a loaded model."""
    model, family = model_of(name), family_of(model_of(name))
    tensors = model.state_dict()
    places = family.places(vars(model.config))
    assert {place: tuple(tensors[place].shape) for place in places} == places
    embedding = parts_of(model).embedding.weight.numel()
    assert weight_bytes_per_token(model) == 4 * (sum(map(torch.numel, tensors.values())) - embedding)
    cache = transformers.DynamicCache(config=model.config)
    model(TEXT[None], past_key_values=cache)
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert cache_bytes_per_key(model) * len(TEXT) == kept


@pytest.mark.parametrize("word", ["int8", "int4_mlp"])
def test_number_formats_reach_every_linear_layer_of_their_parts(name, word):
    model, parts = model_of(name), format_row(word)["parts"]
    linears = family_of(model).linears
    wanted = {layer for part in parts for layer in linears[part]}
    plain = Evaluator(model, 32).dense(TEXT)
    quantized = apply_format(format_row(word), model)
    kinds = {path.split(".")[-1]: type(module).__name__ for path, module in quantized.named_modules()}
    found = {layer for layer, kind in kinds.items() if kind == "QuantizedLinear"}
    assert found == wanted
    gap = (Evaluator(quantized, 32).dense(TEXT) - plain).abs().mean()
    assert 0 < gap < (0.2 if word == "int8" else 1.0)


def test_every_linear_layer_has_a_part_and_every_module_a_role(name):
    model = model_of(name)
    family = family_of(model)
    named = {path.split(".")[-1] for path, module in model.named_modules() if hasattr(module, "in_features")}
    assert named == {layer for layers in family.linears.values() for layer in layers}
    for path, module in model.named_modules():
        if not list(module.children()) and list(module.parameters(recurse=False)):
            assert set(path.split(".")) & set(family.roles), path


def test_a_stub_launches_all_projections_in_both_forward_passes(name):
    model, policy = model_of(name), Streaming(budget=SINKS + RECENT, sinks=SINKS)
    called = []
    names = family_of(model).linears["attention"]
    for path, module in model.named_modules():
        if path.split(".")[-1] in names:
            module.register_forward_hook(lambda *_, path=path: called.append(path))
    engine = engines.build(engine_row("eager"), model, policy, Evaluator(model, 32))
    engine.prefill(TEXT[None, :30], 4)
    called.clear()
    with without_attention(model):
        assert engine.step(TEXT[30:31]).isfinite().all()
        ours, called[:] = sorted(called), []
        assert model(TEXT[None, :5]).logits.isfinite().all()
    assert ours == sorted(called) and len(ours) == 2 * len(names)


def test_the_fused_engine_refuses_what_is_no_gpt_neox(name):
    if family_of(model_of(name)) is FAMILIES["gpt_neox"]:
        check_supported(model_of(name))
    else:
        with pytest.raises(Unavailable, match="no GPT-NeoX with a parallel residual"):
            check_supported(model_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("word", ["compiled", "compiled_dynamic", "hf_static"])
def test_compiled_engines_decode_every_family(name, word):
    model, evaluator = model_of(name), Evaluator(model_of(name), 32)
    policy = Dense(max_tokens=len(TEXT))
    engine = engines.build(engine_row(word), model, policy, evaluator)
    assert isinstance(engine.compilation, CompileCost)
    nll = decode(engine, TEXT[:40], 30)
    torch.testing.assert_close(nll, evaluator.dense(TEXT[:40])[29:], atol=1e-3, rtol=0)


def edited(folder: Path, **changes) -> dict:
    """Settings of a checkpoint whose config.json says otherwise; ABSENT removes a key."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ABSENT}))
    return {"source": "folder", "path": str(folder), "dtype": "float32"}


ABSENT = object()
REFUSED = [
    ("llama", {"model_type": "mixtral"}, "model_type: 'mixtral' is not one of gpt_neox, llama, mistral"),
    ("llama", {"num_key_value_heads": 3}, "num_attention_heads: 4 is no multiple of num_key_value_heads, 3"),
    ("llama", {"head_dim": 33}, "33 dimensions of a head of 33 are rotated, which come in pairs"),
    ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "type 'yarn' is not computed here; only default"),
    ("llama", {"rope_parameters": {"rope_type": "llama3"}}, "a rotation of type llama3 needs factor"),
    (
        "llama",
        {"rope_parameters": {**SCALED, "high_freq_factor": 1}},
        "high_freq_factor: 1 is not above low_freq_factor, 1",
    ),
    ("llama", {"rope_parameters": {**LINEAR, "factor": 0}}, "factor: 0 is not a finite number above 0"),
    ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor: 0.5 is not computed here; only 1"),
    ("llama", {"sliding_window": 64}, "sliding_window: 64 is not computed here; only null is"),
    ("llama", {"num_local_experts": 8}, "num_local_experts: 8 is not computed here"),
    ("mistral", {"sliding_window": ABSENT}, "sliding_window: 4096 is not computed here; only null is"),
    ("mistral", {"num_key_value_heads": ABSENT}, "missing num_key_value_heads"),
    ("mistral", {"mlp_bias": True}, "mlp_bias: true is not computed here; only false or null is"),
    ("qwen2", {"use_sliding_window": True}, "use_sliding_window: true is not computed here"),
    ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types: "),
    ("qwen3", {"rms_norm_eps": 0}, "rms_norm_eps: 0 is not a finite number above 0"),
]


@pytest.mark.parametrize(("name", "changes", "said"), REFUSED)
def test_what_is_not_computed_is_one_line(name, changes, said, tmp_path):
    settings = edited(saved(name, tmp_path / "model"), **changes)
    with pytest.raises(UserError) as caught:
        load_model(settings, "cpu")
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("qwen2", {"sliding_window": 64, "max_window_layers": 1}),
        ("qwen3", {"layer_types": ["full_attention"] * 2, "sliding_window": 4096}),
        ("llama", {"rope_parameters": ABSENT, "rope_theta": 10000.0, "rope_scaling": None}),
        ("llama", {"pretraining_tp": 1, "attention_dropout": 0.1, "rope_interleaved": False}),
        ("mistral", {"sliding_window": None, "head_dim": 16}),
    ],
)
def test_keys_without_effect_have_none(name, changes, tmp_path):
    folder = saved(name, tmp_path / "model")
    expected = load_model({"source": "folder", "path": str(folder), "dtype": "float32"}, "cpu")
    found = load_model(edited(folder, **changes), "cpu")
    assert torch.equal(found(TEXT[None]).logits, expected(TEXT[None]).logits)


def test_old_tables_of_frequencies_are_left(tmp_path):
    folder = saved("llama", tmp_path / "model")
    path = folder / "model.safetensors"
    old = {"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(16)}
    save_file(load_file(path) | old, path, metadata={"format": "pt"})
    assert load_model({"source": "folder", "path": str(folder), "dtype": "float32"}, "cpu")
    save_file(load_file(path) | {"model.layers.2.self_attn.rotary_emb.inv_freq": torch.ones(16)}, path)
    with pytest.raises(UserError, match=r"model.layers.2.self_attn.rotary_emb.inv_freq has no place in it"):
        load_model({"source": "folder", "path": str(folder), "dtype": "float32"}, "cpu")
