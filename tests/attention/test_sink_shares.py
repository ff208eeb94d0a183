"""Shares of attention: those of an explicit softmax, a sink that was planted, and heads that share keys."""

import pytest
import torch
from helpers import model_and_text, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench.attention import sink_shares
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.sink_shares import FIRST, LEAST_TOKENS, SinkShares, attention_to_first
from sinkbench.model.families import family_of
from sinkbench.model.forward import for_each_query_head, forward_hidden
from sinkbench.model.rope import Rotary, rotate_head

EXACT, FLOAT32 = 1e-7, 1e-5  # norms of most families compute in float32


def mean_shares(weights: torch.Tensor) -> torch.Tensor:
    """Mean shares [..., heads, len(FIRST)] of whole attention matrices [..., heads, T, T]."""
    late = weights[..., -(-weights.shape[-1] // 2) :, :]
    return torch.stack([late[..., :count].sum(-1).mean(-1) for count in FIRST], -1)


def softmax(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    """The whole causal softmax [heads, T, T] of [heads, T, dim]."""
    later = torch.ones(2 * queries.shape[1:2], dtype=torch.bool).triu(1)
    return (queries @ keys.mT * scale).masked_fill(later, -torch.inf).softmax(-1)


class Whole:
    """Attention over one whole text, matrix by matrix; keeps them."""

    def __init__(self, model, tokens: int):
        self.table, self.weights = Rotary(model).at(torch.arange(tokens)), []
        self.project = family_of(model).project

    def attend(self, index: int, layer, hidden: torch.Tensor) -> torch.Tensor:
        query, key, value = self.project(layer, hidden)
        key, value = (for_each_query_head(each, len(query)) for each in (key, value))
        turned = (rotate_head(each, self.table) for each in (query, key))
        self.weights.append(softmax(*turned, query.shape[-1] ** -0.5))
        return self.weights[-1] @ value


TEXTS = (shapes(), st.integers(0, 9), st.integers(LEAST_TOKENS, 70))


@settings(max_examples=25, deadline=None)
@given(*TEXTS, st.integers(1, 80), st.sampled_from([1, 5, 64]))
def test_shares_are_those_of_an_explicit_softmax(shape, seed, length, chunk, block):
    """In chunks and blocks of any size."""
    model, ids = model_and_text(shape, seed, length)
    whole = Whole(model, length)
    with torch.inference_mode():
        forward_hidden(model, ids, whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sink_shares, "QUERY_BLOCK", block)
        found = attention_to_first(Evaluator(model, chunk), ids)
    expected = mean_shares(torch.stack(whole.weights))
    assert found.dtype == torch.float64 and found.shape == expected.shape
    assert float((found - expected).abs().max()) < EXACT


@settings(max_examples=5, deadline=None)
@given(*TEXTS)
def test_shares_are_those_of_transformers_own_attention(shape, seed, length):
    """Which has its softmax and its angles in float32."""
    model, ids = model_and_text(shape, seed, length)
    found = attention_to_first(Evaluator(model, 16), ids)
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        weights = torch.cat(model(ids[None], output_attentions=True, use_cache=False).attentions)
    assert float((found - mean_shares(weights)).abs().max()) < FLOAT32


@pytest.mark.parametrize("group", [1, 3])
def test_query_heads_that_share_keys_have_shares_of_their_own(group):
    """Keys come in chunks of unequal size, with fewer heads than queries."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(2 * group, 50, 8, generator=generator, dtype=torch.float64)
    keys, values = torch.randn(2, 2, 50, 8, generator=generator, dtype=torch.float64)
    shares = SinkShares(50)
    for start, end in ((0, 7), (7, 33), (33, 50)):
        shares.append(0, start, queries[:, start:end], keys[:, start:end], values[:, start:end])
    own = torch.stack([keys[head // group] for head in range(2 * group)])
    expected = mean_shares(softmax(queries, own, 8**-0.5))
    assert float((shares.mean()[0] - expected).abs().max()) < EXACT


def test_a_planted_sink_is_found_in_its_head_and_nowhere_else():
    """One head's queries all point at the third key; another's keys are all alike."""
    tokens, dim = 64, 4
    queries, keys = torch.zeros(2, 2, tokens, dim, dtype=torch.float64)
    queries[0, :, 0], keys[0, 2, 0] = 1.0, 200.0
    shares = SinkShares(tokens)
    shares.append(0, 0, queries, keys, keys)
    planted, even = shares.mean()[0]
    assert planted.tolist() == pytest.approx([0, 0, 1, 1], abs=1e-12)
    seen = torch.arange(tokens // 2, tokens, dtype=torch.float64) + 1
    assert even.tolist() == pytest.approx([float((count / seen).mean()) for count in FIRST], abs=EXACT)
