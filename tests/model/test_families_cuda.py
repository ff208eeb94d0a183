"""On a CUDA device: compiled attention, graphs and compiled steps of every family score as on a CPU."""

import pytest
import torch
from helpers import decode
from model_families import SHAPES, TEXT, model_of
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines.decode import generate, greedy
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.speculator import Speculator, speculate
from sinkbench.engines.speculation.verification import Greedy
from sinkbench.engines.table import engine_row
from sinkbench.policies import Visibility, build
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy as Streaming

pytestmark = pytest.mark.cuda
RULE, RING = Visibility(3, 61), Streaming(budget=64, sinks=3)
SELECT = {"budget": 64, "sinks": 3, "refresh_every": 8, "lookback": 128, "selected_tokens": 16}


@pytest.fixture(autouse=True)
def compiled_anew():
    torch._dynamo.reset()


@pytest.fixture(params=SHAPES)
def name(request) -> str:
    return request.param


def on_both(name: str) -> tuple[Evaluator, Evaluator]:
    """Evaluators of the same weights, in float32: by flex attention on the device, by SDPA on the CPU."""
    cpu = model_of(name)
    return Evaluator(model_of(name).cuda(), 128), Evaluator(cpu, 64)


def test_flex_attention_scores_as_sdpa(name):
    device, cpu = on_both(name)
    ids = TEXT.repeat(4)
    for rule in (RULE, Visibility(0, len(ids))):
        nll = device.stream(ids.cuda(), rule).cpu()
        torch.testing.assert_close(nll, cpu.stream(ids, rule), atol=1e-3, rtol=0)


@pytest.mark.parametrize("word", ["eager", "graph", "compiled_graph"])
def test_engines_decode_what_is_scored(name, word):
    device, cpu = on_both(name)
    ids = TEXT.repeat(2)
    nll = decode(engines.build(engine_row(word), device.model, RING, device), ids.cuda(), 100).cpu()
    torch.testing.assert_close(nll, cpu.stream(ids, RULE)[99:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("word", ["hf_static", "graph"])
def test_dense_engines(name, word):
    device, cpu = on_both(name)
    policy = Dense(max_tokens=len(TEXT))
    nll = decode(engines.build(engine_row(word), device.model, policy, device), TEXT.cuda(), 90).cpu()
    torch.testing.assert_close(nll, cpu.dense(TEXT)[89:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kernel", ["eager_flash", "eager_cudnn"])
def test_half_precision_kernels_take_shared_key_heads(name, kernel):
    model = model_of(name, torch.bfloat16).cuda()
    evaluator = Evaluator(model, 128)
    exact = evaluator.stream(TEXT.cuda(), RULE)[99:]
    nll = decode(engines.build(engine_row(kernel), model, RING, evaluator), TEXT.cuda(), 100)
    assert (nll - exact).abs().mean() < 0.05


@pytest.mark.parametrize("word", ["graph", "compiled_graph"])
def test_refreshed_caches(name, word):
    device, cpu = on_both(name)
    policy, ids = build("select", SELECT), TEXT.repeat(2)
    nll = decode(engines.build(engine_row(word), device.model, policy, device), ids.cuda(), 100).cpu()
    torch.testing.assert_close(nll, cpu.refreshed(ids, policy)[99:], atol=1e-3, rtol=0)


def test_speculation_in_a_graph(name):
    """Its own draft, in float64, so that no tie is near: nearly every draft is kept."""
    model = model_of(name, torch.float64).cuda()
    evaluator = Evaluator(model, 128, kernel=MaskedKernel())  # flex attention has no float64
    expected = generate(
        engines.build(engine_row("graph"), model, RING, evaluator), TEXT[None].cuda(), 40, greedy
    )
    decoders = [BlockDecoder(model, RING, evaluator, 5) for _ in range(2)]
    tokens, kept = speculate(Speculator(*decoders, 4, Greedy(), captured=True), TEXT.cuda(), 40)
    assert torch.equal(tokens, expected[0])
    assert sum(kept) / len(kept) > 3.5
