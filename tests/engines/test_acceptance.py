"""The kernel that ends a round against torch's own, over rounds one after another."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("triton")

from interpreted import DEVICE
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines.speculation import acceptance_kernel, lookup, speculator
from sinkbench.engines.speculation.acceptance import settle, settler
from sinkbench.engines.speculation.acceptance_kernel import Acceptance
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.verification import Greedy, Sampled, leading
from sinkbench.policies.streaming import Policy as Streaming


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Several parts of a row, the last of which is not full."""
    monkeypatch.setattr(acceptance_kernel, "SHARE", 8)


class Contrary(Greedy):
    """Keeps the drafts that greedy verification would not."""

    def verify(self, drafts, guesses, scores):
        wanted = scores.argmin(-1)
        accepted = leading(drafts != scores[:-1].argmax(-1))
        return accepted, wanted.gather(0, accepted)


def ending(end, rule, drafts, scores, tail: int, caches: int) -> list[torch.Tensor]:
    """All that a round's end gives and changes: ids, drafts that stayed, tail, positions."""
    positions = tuple(torch.tensor([40 + cache], device=DEVICE) for cache in range(caches))
    last = torch.arange(tail, device=DEVICE) + 1000
    given_round = end(rule, drafts, torch.zeros_like(scores[:-1]), scores, last, positions)
    return [*given_round, last, *positions]


def check_same(kernel, rule, drafts, scores, tail: int = 2, caches: int = 2) -> int:
    """Compare, and return how many drafts stayed."""
    expected = ending(settle, rule, drafts, scores, tail, caches)
    for one, other in zip(ending(kernel, rule, drafts, scores, tail, caches), expected, strict=True):
        assert torch.equal(one, other)
    return int(expected[1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 6),
    vocabulary=st.integers(1, 70),
    levels=st.sampled_from([1, 3, 10**6]),  # of scores: all are equal, ties, hardly any tie
    right=st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    tail=st.sampled_from([1, 2]),
    rule=st.sampled_from([Greedy(), Contrary()]),
)
def test_rounds_end_as_in_torch(seed, count, vocabulary, levels, right, dtype, tail, rule):
    """Rounds in a row with one counter, each of any number of drafts, of which a share is right."""
    generator, kernel = torch.Generator().manual_seed(seed), Acceptance(torch.device(DEVICE))
    for rows in (count + 1, 1, count + 1):
        scores = torch.randint(-levels, levels, (rows, vocabulary), generator=generator).to(dtype)
        scores[torch.rand(rows, vocabulary, generator=generator) < 0.1] = -torch.inf
        others = torch.randint(vocabulary, (rows - 1,), generator=generator)
        is_right = torch.rand(rows - 1, generator=generator) < right
        drafts = torch.where(is_right, scores[:-1].argmax(-1), others)
        check_same(kernel, rule, drafts.to(DEVICE), scores.to(DEVICE), tail, tail)
        assert int(kernel.arrivals) == 0


@pytest.mark.parametrize("kept", range(5))
def test_any_number_of_drafts_may_stay(kept):
    scores = torch.randn(5, 61, device=DEVICE)
    drafts = scores[:-1].argmax(-1)
    drafts[kept : kept + 1] = (drafts[kept : kept + 1] + 1) % 61
    assert check_same(Acceptance(torch.device(DEVICE)), Greedy(), drafts, scores) == kept


def test_the_first_of_equals_is_taken_within_a_part_and_across():
    scores = torch.zeros(3, 61, device=DEVICE)
    scores[0, [3, 6, 40]], scores[1, [17, 18, 60]], scores[2, 60] = 1.0, 1.0, 1.0
    drafts = torch.tensor([3, 17], device=DEVICE)
    assert check_same(Acceptance(torch.device(DEVICE)), Greedy(), drafts, scores) == 2


@pytest.mark.parametrize("where", [slice(None), slice(30, 31), slice(60, 61)])
def test_what_is_no_number_counts_as_the_highest(where):
    """As in torch, and as many drafts as before are read; no index is out of bounds."""
    scores = torch.randn(4, 61, device=DEVICE)
    scores[1, where] = float("nan")
    drafts = scores[:-1].argmax(-1)
    assert check_same(Acceptance(torch.device(DEVICE)), Greedy(), drafts, scores) == 3


def test_sampled_rounds_end_after_torch_s_verdict():
    rule, kernel = Sampled(3, 61, 1.0, 0, torch.device(DEVICE)), Acceptance(torch.device(DEVICE))
    kept = set()
    for _ in range(20):
        rule.renew()
        scores, drafts = torch.randn(4, 61, device=DEVICE), torch.randint(61, (3,), device=DEVICE)
        kept.add(check_same(kernel, rule, drafts, scores))
    assert len(kept) > 1


@pytest.mark.parametrize("drafted", ["model", "lookup"])
def test_speculation_with_the_kernel_is_speculation_without(tiny, monkeypatch, drafted):
    model, ids = deepcopy(tiny).to(DEVICE), torch.arange(20, device=DEVICE) * 7 % 256
    draft = deepcopy(model)
    draft.gpt_neox.layers = draft.gpt_neox.layers[:1]  # often wrong
    draft.config.num_hidden_layers = 1
    used = []

    class Counted(Acceptance):
        def __call__(self, *arguments):
            used.append(self)
            return super().__call__(*arguments)

    def decoded(settler) -> tuple[list[int], list[int]]:
        for module in (lookup, speculator):
            monkeypatch.setattr(module, "settler", settler)
        target, drafting = (decoder_of(each) for each in (model, draft))
        made = lookup.LookupSpeculator(target, 3, Greedy())
        if drafted == "model":
            made = speculator.Speculator(target, drafting, 3, Greedy())
        text, kept = speculator.speculate(made, ids, 40)
        return text.tolist(), kept

    expected = decoded(lambda device: settle)
    assert decoded(Counted) == expected
    assert len(used) == len(expected[1]) and len({*expected[1]}) > 1


def decoder_of(model) -> BlockDecoder:
    evaluator = Evaluator(model, 16)
    evaluator.kernel = MaskedKernel()
    return BlockDecoder(model, Streaming(budget=16, sinks=4), evaluator, 4)


def test_without_cuda_torch_ends_the_rounds():
    assert settler(torch.device("cpu")) is settle
