"""Every form reproduces the NLLs that the reference implementation gave for a tiny model."""

import pytest
import torch
from helpers import RULES, TOLERANCE, decode, largest_gap, visibility_of
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.table import engine_row
from sinkbench.policies.recompute import Policy as Recompute
from sinkbench.policies.streaming import Policy as Streaming


@pytest.fixture(scope="module")
def ids(known):
    return torch.from_numpy(known["tokens"].astype("int64"))


@pytest.mark.parametrize("chunk_tokens", [7, 64, 400])
@pytest.mark.parametrize("rule", RULES)
def test_evaluator(tiny, known, ids, rule, chunk_tokens):
    nll = Evaluator(tiny, chunk_tokens).stream(ids, visibility_of(rule))
    assert largest_gap(nll, known[rule]) < TOLERANCE


@pytest.mark.parametrize("chunk_tokens", [50, 400])
def test_evaluator_dense(tiny, known, ids, chunk_tokens):
    assert largest_gap(Evaluator(tiny, chunk_tokens).dense(ids), known["dense"]) < TOLERANCE


@pytest.mark.parametrize("start", [1, 3, 30, 200])
@pytest.mark.parametrize("rule", RULES)
def test_ring(tiny, known, ids, rule, start):
    """From the first token on, from within the sinks, from within the fill phase, and long after it."""
    visibility = visibility_of(rule)
    policy = Streaming(budget=visibility.budget, sinks=visibility.sinks)
    engine = engines.build(engine_row("eager"), tiny, policy, Evaluator(tiny, 16))
    assert largest_gap(decode(engine, ids, start), known[rule][start - 1 :]) < TOLERANCE


@pytest.mark.parametrize("start", [1, 50])
@pytest.mark.parametrize("rule", RULES)
def test_reference_formulation(tiny, known, ids, rule, start):
    visibility = visibility_of(rule)
    policy = Streaming(budget=visibility.budget, sinks=visibility.sinks)
    engine = engines.build(engine_row("paper"), tiny, policy, Evaluator(tiny, 16))
    assert largest_gap(decode(engine, ids, start), known[rule][start - 1 :]) < TOLERANCE


@pytest.mark.parametrize("word", ["hf", "hf_eager", "hf_flash", "hf_math"])
def test_stock_dense(tiny, known, ids, word):
    engine = engines.build(engine_row(word), tiny, None, Evaluator(tiny, 64))
    assert largest_gap(decode(engine, ids, 5), known["dense"][4:]) < TOLERANCE


def test_recompute_decodes_what_it_scores(tiny, ids):
    """The engine that is timed and the evaluator agree, before and after the budget is full."""
    policy = Recompute(budget=32, sinks=4, samples=1, first_position=32)
    evaluator = Evaluator(tiny, 128)
    decoded = decode(engines.build(engine_row("fresh"), tiny, policy, evaluator), ids[:100], 2)
    exact = policy.nll_at(evaluator, ids, range(1, 99))
    assert float((decoded - exact).abs().max()) < TOLERANCE
