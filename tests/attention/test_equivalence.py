"""All forms are one function: evaluator = ring = static ring = reference, on random shapes and rules.

In float64, where a wrong mask or distance cannot hide behind rounding.
"""

import gc
import weakref

import pytest
import torch
from helpers import VOCABULARY, decode, model_and_text, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench import engines
from sinkbench.attention.chunked import ChunkStream
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import FlexKernel
from sinkbench.engines.table import engine_row
from sinkbench.model.loading import random_model
from sinkbench.policies import Visibility
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy

# Engines that run on any machine and need no compiler, by where their scores may begin.
FROM_ANYWHERE = ["eager", "eager_math", "eager_flash", "static"]
FROM_THE_FIRST = ["paper", "paper_flash"]
GROWING = ["eager", "eager_math", "eager_flash", "static", "growing"]


@settings(max_examples=25, deadline=None)
@given(
    shape=shapes(),
    seed=st.integers(0, 1000),
    sinks=st.integers(0, 5),
    recent=st.integers(1, 12),
    length=st.integers(2, 60),
    chunk_tokens=st.integers(1, 25),
    start=st.integers(1, 6) | st.integers(1, 40),
)
def test_all_forms_agree(shape, seed, sinks, recent, length, chunk_tokens, start):
    model, ids = model_and_text(shape, seed, length)
    start = min(start, length - 1)
    policy = Policy(budget=sinks + recent, sinks=sinks)
    evaluator = Evaluator(model, chunk_tokens)
    exact = evaluator.stream(ids, policy.visibility(0))
    assert len(exact) == length - 1
    firsts = dict.fromkeys(FROM_ANYWHERE, start) | dict.fromkeys(FROM_THE_FIRST, 1)
    for word, first in firsts.items():
        engine = engines.build(engine_row(word), model, policy, evaluator)
        torch.testing.assert_close(decode(engine, ids, first), exact[first - 1 :], atol=1e-7, rtol=0)


@settings(max_examples=10, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 1000), length=st.integers(2, 40), start=st.integers(1, 39))
def test_a_growing_cache_is_dense(shape, seed, length, start):
    model, ids = model_and_text(shape, seed, length)
    start, policy, evaluator = min(start, length - 1), Dense(max_tokens=length), Evaluator(model, 16)
    exact = evaluator.dense(ids)[start - 1 :]
    for word in GROWING:
        engine = engines.build(engine_row(word), model, policy, evaluator)
        torch.testing.assert_close(decode(engine, ids, start), exact, atol=1e-7, rtol=0)


@settings(max_examples=15, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 1000), sinks=st.integers(0, 5), length=st.integers(2, 40))
def test_a_window_as_long_as_the_text_is_dense(shape, seed, sinks, length):
    model, ids = model_and_text(shape, seed, length)
    exact = Evaluator(model, 16).stream(ids, Visibility(sinks, length))
    logits = model(ids[None]).logits[0, :-1]  # transformers rotates in float32
    stock = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
    torch.testing.assert_close(exact, stock, atol=1e-4, rtol=0)


def test_distances_survive_a_million_tokens(tiny, known):
    """The same text far down the stream scores the same: only distances matter, and angles stay exact."""
    from sinkbench.attention.chunked import ChunkStream

    ids = torch.from_numpy(known["tokens"][:200].astype("int64"))
    evaluator = Evaluator(tiny, 50)
    near = evaluator.stream(ids, Visibility(0, 30))

    class FarStream(ChunkStream):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.position = 1_000_000

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sinkbench.attention.evaluator.ChunkStream", FarStream)
        far = evaluator.stream(ids, Visibility(0, 30))
    # The empty window before the text counts as keys of value zero, so compare where it has passed.
    torch.testing.assert_close(far[150:], near[150:], atol=2e-4, rtol=0)


def test_a_stream_goes_without_a_garbage_collection(tiny):
    """Its keys are gigabytes: a cycle through its masks would keep them until Python looks for cycles."""
    stream = ChunkStream(tiny, Visibility(4, 20), FlexKernel())  # whose masks keep the rule, and run on a CPU
    stream.begin(16)
    gc.disable()
    try:
        gone = weakref.ref(stream)
        del stream
        assert gone() is None
    finally:
        gc.enable()


def test_streaming_memory_is_flat(tiny):
    """Carried keys do not grow with the text: budget tokens a layer."""
    stream, _ = Evaluator(tiny, 32).prefill(torch.arange(100) % 256, Visibility(4, 28))
    held = [keys.shape[1] for keys, _ in stream.carried.values()]
    longer, _ = Evaluator(tiny, 32).prefill(torch.arange(1000) % 256, Visibility(4, 28))
    assert held == [keys.shape[1] for keys, _ in longer.carried.values()] == [32] * 3


@settings(deadline=None, max_examples=25)
@given(
    shape=shapes(),
    seed=st.integers(0, 9),
    sinks=st.integers(0, 3),
    recent=st.integers(1, 9),
    every=st.integers(1, 4),
    chunk=st.integers(3, 40),
)
def test_a_prefill_reads_what_the_layers_reach_and_no_more(shape, seed, sinks, recent, every, chunk):
    """It leaves what reading the whole prompt leaves, however far back the rest of it goes."""
    model = random_model(shape, seed, torch.float64, "cpu")
    ids = torch.randint(VOCABULARY, (157,), generator=torch.Generator().manual_seed(seed))
    visibility = Visibility(sinks, recent, every)
    near, near_hidden = Evaluator(model, chunk).prefill(ids, visibility)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "_out_of_reach", lambda *_: 0)
        whole, whole_hidden = Evaluator(model, chunk).prefill(ids, visibility)
    assert near.position == whole.position == len(ids)
    reach = shape["num_hidden_layers"] * (recent + every - 1) + 1
    assert len(ids) - near.skipped <= sinks + reach + every - 1
    torch.testing.assert_close(near_hidden, whole_hidden, atol=1e-10, rtol=0)
    for layer, kept in whole.carried.items():
        torch.testing.assert_close(near.carried[layer], kept, atol=1e-10, rtol=0)


@settings(deadline=None, max_examples=15)
@given(
    shape=shapes(("llama", "qwen3")),
    seed=st.integers(0, 99),
    sinks=st.integers(0, 4),
    recent=st.integers(1, 12),
    length=st.integers(2, 60),
    chunk=st.integers(4, 25),
)
def test_sinks_met_apart_from_the_rest_change_nothing(shape, seed, sinks, recent, length, chunk):
    """Flex attention as it is written: compiled, it is tried on a GPU."""
    model, ids = model_and_text(shape, seed, length)
    exact = Evaluator(model, chunk).stream(ids, Visibility(sinks, recent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sinkbench.attention.masked_kernels.compiled", lambda function: function)
        joined = Evaluator(model, chunk, kernel=FlexKernel(fuses=False)).stream(
            ids, Visibility(sinks, recent)
        )
    torch.testing.assert_close(joined, exact, atol=1e-6, rtol=0)
