"""Continuations are those of the exact evaluator, and samples follow the model's distribution."""

import pytest
import torch
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import Sampler, generate, greedy
from sinkbench.engines.table import engine_row
from sinkbench.model.nll import logits
from sinkbench.policies.streaming import Policy

RING = Policy(budget=12, sinks=2)
COUNT = 24  # tokens, twice the budget
CPU = torch.device("cpu")


def by_the_evaluator(model, prompt: torch.Tensor, choose) -> torch.Tensor:
    """A continuation whose every token comes from a new parallel pass over all before."""
    ids = prompt
    for _ in range(COUNT):
        _, hidden = Evaluator(model, 64).prefill(ids, RING.visibility(0))
        ids = torch.cat((ids, choose(logits(model, hidden))))
    return ids[len(prompt) :]


@pytest.mark.parametrize("choose", [lambda: greedy, lambda: Sampler(1.3, 5, CPU)], ids=["greedy", "sampled"])
def test_a_continuation_is_that_of_the_exact_evaluator(tiny, known, choose):
    prompt = torch.from_numpy(known["tokens"][:7].astype("int64"))
    engine = engines.build(engine_row("eager"), tiny, RING, Evaluator(tiny, 64))
    continued = generate(engine, prompt[None], COUNT, choose())
    assert continued.shape == (1, COUNT)
    with torch.inference_mode():
        assert continued[0].tolist() == by_the_evaluator(tiny, prompt, choose()).tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_tempered_softmax(temperature):
    """Pearson's statistic of 5 categories, whose 99.9 % quantile is 18.5 with 4 degrees of freedom."""
    scores, draws = torch.tensor([1.0, 0.0, -1.0, 0.5, 2.0]), 20_000
    expected = draws * (scores / temperature).softmax(0)
    drawn = Sampler(temperature, 1, CPU)(scores.expand(draws, -1)).bincount(minlength=5)
    assert ((drawn - expected) ** 2 / expected).sum() < 18.5


def test_the_same_seed_draws_the_same_ids():
    scores = torch.zeros(64, 50)
    first, again, other = (Sampler(1.0, seed, CPU)(scores) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
