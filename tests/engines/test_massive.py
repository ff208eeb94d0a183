"""Massive activations, which trained models have and random ones lack, in every engine and number format."""

from functools import cache

import pytest
import torch

pytest.importorskip("triton")

from helpers import decode
from interpreted import DEVICE, Interpreted, use_tiles
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.fused.weights import check_supported
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable
from sinkbench.model.loading import random_model
from sinkbench.model.widened import widened
from sinkbench.policies.streaming import Policy
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import FORMATS, format_row

ON_CPU = [name for name in FORMATS if not name.startswith("torchao_int4")]
OWN = [name for name in ON_CPU if not name.startswith("torchao")]
MASSIVE = {5: 1e3, 77: -1e3}  # dimensions of the residual stream, as large as Pythia's largest
SMALL, LARGE = 0.02, 10.0  # gammas of those and of the others, which bring both to one size
FACTOR = (
    3  # of the error that bfloat16 itself makes with `eager` and plain weights, for every engine and format
)
POLICY, START, COUNT = Policy(budget=10, sinks=2), 20, 30
SHAPE = {
    "vocab_size": 61,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "initializer_range": 0.2,
}


def planted(word: str):
    """A bfloat16 model in a number format whose first layer writes MASSIVE into the residual stream."""
    model = random_model(SHAPE, 0, torch.bfloat16, "cpu").eval().requires_grad_(False)
    first, *others = model.gpt_neox.layers
    norms = [norm for layer in others for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    for norm in (*norms, model.gpt_neox.final_layer_norm):
        norm.weight.fill_(LARGE)
        norm.weight[list(MASSIVE)] = SMALL
    first.mlp.dense_4h_to_h.bias[list(MASSIVE)] = torch.tensor(list(MASSIVE.values())).bfloat16()
    return apply_format(format_row(word), model)


def text() -> torch.Tensor:
    return torch.randint(61, (START + COUNT,), generator=torch.Generator().manual_seed(1))


def error(word: str, engine_of, count: int = COUNT, device: str = "cpu") -> float:
    """Mean |NLL difference| to float64 of an engine that `engine_of` makes of the planted model, in nats."""
    model, ids = planted(word), text()[: START + count]
    exact = POLICY.nll_at(Evaluator(widened(model, torch.float64), 16), ids, range(START - 1, len(ids) - 1))
    given = decode(engine_of(model.to(device)), ids.to(device), START).cpu()
    return float((given - exact).abs().mean())


def made(name: str):
    return lambda model: engines.build(engine_row(name), model, POLICY, Evaluator(model, 16))


@cache
def own_error() -> float:
    """What bfloat16 costs by itself."""
    return error("none", made("eager"))


def test_the_planted_activations_are_massive_and_matter():
    model = planted("none")
    embedded = model.gpt_neox(text()[None], output_hidden_states=True).hidden_states
    behind = embedded[1][0].abs()
    assert behind[:, list(MASSIVE)].min() > 900 and behind.median() < 10
    assert 1e-3 < own_error() < 0.02


@pytest.mark.parametrize("name", ["eager", "static"])
@pytest.mark.parametrize("word", ON_CPU)
def test_torch_engines_are_as_exact_as_bfloat16(word, name):
    assert error(word, made(name)) < FACTOR * own_error()


@pytest.mark.parametrize(
    "word", [pytest.param(name, marks=[] if name == "int8" else pytest.mark.slow) for name in OWN]
)
def test_fused_kernels_are_as_exact_as_bfloat16(word, captures, monkeypatch):
    """Inputs of packed weights are rounded to 16 bits of their largest neighbour, however massive it is."""
    use_tiles(monkeypatch, rows=64, inputs=128)
    assert error(word, lambda model: Interpreted(model, POLICY), 4, DEVICE) < FACTOR * own_error()


def test_fused_refuses_float16_which_overflows_before_its_norms():
    """transformers normalises first: it computes this model."""
    model = random_model(SHAPE, 0, torch.float16, "cpu").eval().requires_grad_(False)
    first, second = model.gpt_neox.layers
    first.mlp.dense_4h_to_h.bias[7] = 3e4
    second.input_layernorm.weight[7] = 4.0
    assert decode(made("eager")(model), text(), START).isfinite().all()
    with pytest.raises(Unavailable, match=r"fused: weights of torch\.float16; it computes in float32"):
        check_supported(model)
