"""A block's rows are token-by-token decoding, whatever was read before them and taken back."""

import pytest
import torch
from helpers import (
    RULES,
    TOLERANCE,
    VOCABULARY,
    decode_in_blocks,
    largest_gap,
    model_and_text,
    shapes,
    visibility_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.errors import Unavailable
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.lazy import Policy as Lazy
from sinkbench.policies.streaming import Policy as Streaming


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    shape=shapes(),
    seed=st.integers(0, 1000),
    sinks=st.integers(0, 4),
    recent=st.integers(1, 12),
    block=st.integers(1, 9),
    length=st.integers(8, 60),
)
def test_blocks_are_token_by_token_decoding(data, shape, seed, sinks, recent, block, length):
    """In float64, where a wrong mask or distance cannot hide behind rounding."""
    model, ids = model_and_text(shape, seed, length)
    policy, evaluator = Streaming(budget=sinks + recent, sinks=sinks), Evaluator(model, 16)
    start = data.draw(st.integers(max(1, sinks), length - 1))
    exact = evaluator.stream(ids, policy.visibility(0))[start - 1 :]
    decoder = BlockDecoder(model, policy, evaluator, block)
    decoded = decode_in_blocks(decoder, ids, start, lambda *ends: data.draw(st.integers(*ends)))
    torch.testing.assert_close(decoded, exact, atol=1e-7, rtol=0)


@settings(max_examples=10, deadline=None)
@given(data=st.data(), shape=shapes(), length=st.integers(2, 40))
def test_blocks_over_a_growing_cache_are_dense(data, shape, length):
    model, ids = model_and_text(shape, 1, length)
    policy, evaluator, start = (
        Dense(max_tokens=length),
        Evaluator(model, 16),
        data.draw(st.integers(1, length - 1)),
    )
    decoder = BlockDecoder(model, policy, evaluator, 4)
    decoded = decode_in_blocks(decoder, ids, start, lambda *ends: data.draw(st.integers(*ends)))
    torch.testing.assert_close(decoded, evaluator.dense(ids)[start - 1 :], atol=1e-7, rtol=0)


@pytest.mark.parametrize("rule", RULES)
def test_blocks_reproduce_the_reference(tiny, known, rule):
    ids = torch.from_numpy(known["tokens"].astype("int64"))
    visibility = visibility_of(rule)
    policy = Streaming(budget=visibility.budget, sinks=visibility.sinks)
    decoder = BlockDecoder(tiny, policy, Evaluator(tiny, 64), 5)
    decoded = decode_in_blocks(decoder, ids, 20, lambda low, high: (low + high) // 2)
    assert largest_gap(decoded, known[rule][19:]) < TOLERANCE


@torch.inference_mode()
def test_what_was_decoded_before_does_not_show(tiny):
    """A ring stays where it is over prefills, for graphs; not even NaN in it may show."""
    decoder = BlockDecoder(tiny, Streaming(budget=32, sinks=4), Evaluator(tiny, 64), 3)
    ids = torch.arange(40) % VOCABULARY
    decoder.prefill(ids[:20], 0)
    first, ring = decoder.read(ids[20:23]), decoder.ring
    for part in (ring.buffers.keys, ring.buffers.values, ring.buffers.sink_keys):
        part.fill_(float("nan"))
    decoder.prefill(ids[:20], 0)
    assert decoder.ring is ring
    assert torch.equal(decoder.read(ids[20:23]), first)


def test_what_blocks_cannot_decode_is_refused(tiny):
    evaluator = Evaluator(tiny, 64)
    with pytest.raises(Unavailable, match="not pruned"):
        BlockDecoder(tiny, Lazy(budget=32, sinks=4, prune_every=4), evaluator, 3)
    with pytest.raises(ValueError, match="do not hold the 4 sinks"):
        BlockDecoder(tiny, Streaming(budget=32, sinks=4), evaluator, 3).prefill(torch.arange(3), 0)
