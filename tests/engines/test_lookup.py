"""Drafts without a draft model: the index finds what a search finds, and the output is the target's own."""

import pytest
import torch
from helpers import model_and_text, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import generate, greedy
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.lookup import LookupSpeculator
from sinkbench.engines.speculation.speculator import speculate
from sinkbench.engines.speculation.suffix_index import SuffixIndex
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.engines.table import engine_row
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy as Streaming

POLICIES = [Streaming(budget=12, sinks=2), Streaming(budget=9, sinks=0), Dense(max_tokens=200)]


def searched(text: list[int], lengths: tuple[int, ...], remembered: int, count: int) -> list[int]:
    """SuffixIndex.following by its definition."""
    for length in lengths:
        for place in range(len(text) - 1, max(length, len(text) - remembered) - 1, -1):
            if length <= len(text) and text[place - length : place] == text[len(text) - length :]:
                return [text[place + index % (len(text) - place)] for index in range(count)]
    return []


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(st.integers(0, 2), max_size=60),
    lengths=st.sampled_from([(4, 2), (3,), (5, 3, 1)]),
    remembered=st.integers(1, 70),
    cut=st.integers(0, 60),
)
def test_the_index_finds_what_a_search_finds(text, lengths, remembered, cut):
    index = SuffixIndex(lengths, remembered)
    index.extend(text[:cut])
    index.extend(text[cut:])
    assert index.following(5) == searched(text, lengths, remembered, 5)
    assert all(len(places) <= remembered for places in index.behind)
    assert len(index.tokens) <= remembered + lengths[0]


def lookup(model, policy, draft_tokens: int, rule, captured: bool = False) -> LookupSpeculator:
    target = BlockDecoder(model, policy, Evaluator(model, 16), draft_tokens + 1)
    return LookupSpeculator(target, draft_tokens, rule, captured)


@settings(max_examples=15, deadline=None)
@given(
    shape=shapes(),
    seed=st.integers(0, 1000),
    policy=st.sampled_from(POLICIES),
    draft_tokens=st.integers(1, 8),
    prompt=st.integers(3, 30),
)
def test_greedy_lookup_is_greedy_decoding(shape, seed, policy, draft_tokens, prompt):
    """Token for token, in float64, so that no tie is near."""
    model, ids = model_and_text(shape, seed, prompt)
    alone = engines.build(engine_row("eager"), model, policy, Evaluator(model, 16))
    expected = generate(alone, ids[None], 60, greedy)[0]
    given_ids, kept = speculate(lookup(model, policy, draft_tokens, Greedy()), ids, 60)
    assert torch.equal(given_ids, expected)
    assert all(0 <= count <= draft_tokens for count in kept)


def test_a_text_that_repeats_itself_is_drafted_well(tiny):
    """What greedy decoding falls into sooner or later; over a ring that has wrapped."""
    _, kept = speculate(lookup(tiny, Streaming(budget=32, sinks=4), 4, Greedy()), torch.arange(30), 300)
    assert sum(kept[-20:]) > 20


@pytest.mark.parametrize("policy", POLICIES)
def test_both_passes_are_captured_in_the_first_round(tiny, captures, policy):
    """A capture takes seconds, and rounds after the first are timed."""
    own = lookup(tiny, policy, 4, Greedy(), captured=True)
    own.prefill(torch.arange(30), 20)
    own.round()
    assert set(own.passes) == {0, 4} and len(captures) == 2
    captured = [own.prefill(torch.arange(30), 60).item()]
    while len(captured) < 60:
        given_round = own.round()
        captured += given_round.tokens[: int(given_round.accepted) + 1].tolist()
    assert captured[:60] == speculate(lookup(tiny, policy, 4, Greedy()), torch.arange(30), 60)[0].tolist()


@pytest.mark.parametrize("draft", [0, 1, 2])
def test_sampled_lookup_has_the_target_s_distribution(draft):
    """A sure draft stays as often as the target would say it; what replaces it is drawn from the rest."""
    generator, rounds, cells = torch.Generator().manual_seed(draft), 40_000, 3
    scores = torch.randn(2, cells, generator=generator)
    rule = Sampled(1, cells, 0.8, 7, torch.device("cpu"))
    drafts = torch.tensor([draft])
    sure = torch.full((1, cells), -torch.inf).scatter(1, drafts[:, None], 0.0)
    counts = torch.zeros(cells)
    for _ in range(rounds // 20):
        rule.renew()
        accepted, following = rule.verify(drafts, sure, scores)
        counts[draft if accepted else int(following)] += 1
    p = (scores[0] / 0.8).softmax(-1)
    tolerance = 4 * (p * (1 - p) / counts.sum()).sqrt()
    assert ((counts / counts.sum() - p).abs() < tolerance).all()


def test_a_round_without_a_draft_is_a_draw_of_the_target(tiny):
    rule = Sampled(4, tiny.config.vocab_size, 1.0, 0, tiny.device)
    own = lookup(tiny, Streaming(budget=32, sinks=4), 4, rule)
    own.prefill(torch.arange(30), 1)  # no token twice, and so no pair of tokens
    assert int(own.round().accepted) == 0
    assert set(own.passes) == {0}
