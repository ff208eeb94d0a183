"""The rungs between eager and fused: what they reuse and refuse, and that a capture leaves no trace."""

import warnings
from collections import Counter
from copy import deepcopy

import pytest
import torch
from helpers import TOLERANCE, decode, largest_gap
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.ring import ring_visibility
from sinkbench.engines import static
from sinkbench.engines.static_ring import StaticRing
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable, UserError
from sinkbench.model import sdpa
from sinkbench.policies import Visibility
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy as Streaming
from sinkbench.runtime import torch_compile
from sinkbench.runtime.torch_compile import compiled
from sinkbench.study.run_table import RunTable
from torch._inductor.utils import remove_unaligned_input_idxs
from torch.utils._python_dispatch import TorchDispatchMode

RING, RULE = Streaming(budget=32, sinks=4), "sinks4_window28"
TUNED = ["compiled_tuned", "compiled_autotune"]  # whose compilers try several kernels
STOCK = ["hf", "hf_eager", "hf_efficient", "hf_flash", "hf_math", "hf_static"]


@pytest.fixture(scope="module")
def ids(known):
    return torch.from_numpy(known["tokens"].astype("int64"))


@pytest.fixture(scope="module")
def shallow(tiny):
    """One layer of the tiny model: compilers take their time for each."""
    model = deepcopy(tiny)
    model.gpt_neox.layers, model.config.num_hidden_layers = model.gpt_neox.layers[:1], 1
    return model


def captured_engine(tiny, policy) -> static.Engine:
    engine = static.Engine(tiny, policy, Evaluator(tiny, 64))
    engine.captured = True
    return engine


@pytest.mark.parametrize("start", [1, 20, 200])
def test_a_capture_leaves_no_trace(tiny, known, ids, captures, start):
    decoded = decode(captured_engine(tiny, RING), ids, start)
    assert largest_gap(decoded, known[RULE][start - 1 :]) < TOLERANCE
    assert torch.equal(decoded, decode(static.Engine(tiny, RING, Evaluator(tiny, 64)), ids, start))


def test_a_ring_is_captured_once_filling_and_once_full(tiny, known, ids, captures):
    engine = captured_engine(tiny, RING)
    for start in (200, 1, 20):
        engine.reset()
        decoded = decode(engine, ids, start)
        assert largest_gap(decoded, known[RULE][start - 1 :]) < TOLERANCE
    assert len(captures) == 2


def test_torch_finds_every_tensor_of_a_step_where_it_may_record_a_graph(tiny):
    """Its graphs take no other input for one that stays, and are not recorded if they write such a one."""
    tensors = list(StaticRing(tiny, RING.visibility(0), observed=2).tensors())
    everywhere = range(len(tensors))
    assert list(remove_unaligned_input_idxs(tensors, everywhere)) == list(everywhere)


@torch.inference_mode()
def test_what_was_decoded_before_does_not_show(tiny, ids):
    """Not even NaN: what a mask hides still meets a weight of zero."""
    engine = static.Engine(tiny, RING, Evaluator(tiny, 64))
    first = decode(engine, ids[:60], 2)
    for ring in (engine.ring.buffers.keys, engine.ring.buffers.values, engine.ring.buffers.sink_keys):
        ring.fill_(float("nan"))
    assert torch.equal(decode(engine, ids[:60], 2), first)


def test_a_growing_cache_is_freed_and_has_room_for_its_neighbours(tiny, ids, captures):
    engine = captured_engine(tiny, Dense(max_tokens=400))
    decode(engine, ids[:50], 10)
    engine.reset()
    assert engine.ring is None
    assert not engine.steps
    assert ring_visibility(engine.policy, 40) == ring_visibility(engine.policy, 1023) == Visibility(0, 1023)
    assert ring_visibility(engine.policy, 1024) == Visibility(0, 2047)
    assert ring_visibility(RING, 5000) == Visibility(4, 28)


def test_compiled_once_filling_and_once_full(shallow, ids):
    counters = torch._dynamo.utils.counters["stats"]
    evaluator = Evaluator(shallow, 64)
    engine = engines.build(engine_row("compiled"), shallow, RING, evaluator)
    decoded = decode(engine, ids, 2)
    assert (decoded - evaluator.stream(ids, RING.visibility(0))[1:]).abs().max() < TOLERANCE
    graphs = counters["unique_graphs"]
    engine.reset()
    assert torch.equal(decode(engine, ids, 2), decoded)
    assert counters["unique_graphs"] == graphs
    another = engines.build(engine_row("compiled"), shallow, RING, evaluator)
    assert torch.equal(decode(another, ids[:60], 2), decoded[:58])
    assert counters["unique_graphs"] == graphs


@pytest.mark.parametrize(
    "word", [*(pytest.param(word, marks=pytest.mark.slow) for word in TUNED), "eager_flex"]
)
def test_what_else_is_compiled_decodes_the_same_and_counts_its_cost(shallow, ids, word):
    evaluator = Evaluator(shallow, 64)
    engine = engines.build(engine_row(word), shallow, RING, evaluator)
    assert engine.compilation.notes() == {"seconds": 0.0, "graphs": 0}
    decoded = decode(engine, ids[:120], 20)
    assert (decoded - evaluator.stream(ids[:120], RING.visibility(0))[19:]).abs().max() < TOLERANCE
    cost = engine.compilation.notes()
    assert cost["graphs"] == {"eager_flex": 2}.get(
        word, 3
    )  # filling and full; where a token stands is a third
    assert cost["seconds"] > 0
    decode(engine, ids[:60], 20)
    assert engine.compilation.notes() == cost


@pytest.mark.parametrize("word", TUNED)
def test_tuned_steps_give_float32_whatever_torch_makes_of_them(tiny, ids, monkeypatch, word):
    engine = engines.build(engine_row(word), tiny, RING, Evaluator(tiny, 64))
    engine.prefill(ids[None, :8], max_new_tokens=1)
    monkeypatch.setattr(engine, "_step", lambda full: torch.zeros(1, 8, dtype=torch.bfloat16))
    assert engine.step(ids[8:9]).dtype == torch.float32


def test_a_static_cache_is_scored_and_compiled_once_for_each_room(shallow, ids):
    """Though its memory is freed between prompts, and another room came between."""
    evaluator = Evaluator(shallow, 16)
    engine = engines.build(engine_row("hf_static"), shallow, Dense(400), evaluator)
    exact, graphs = evaluator.dense(ids[:60]), []
    for length in (60, 60, 40, 60):
        assert (decode(engine, ids[:length], 20) - exact[19 : length - 1]).abs().max() < TOLERANCE
        assert engine.cache_bytes() == 2 * 4 * shallow.config.hidden_size * (length - 1)
        graphs.append(engine.compilation.graphs)
        engine.reset()
        assert engine.cache is None
    assert graphs == [1, 1, 2, 2]


def test_a_full_static_cache_takes_no_token(tiny, ids):
    """transformers' own writes past its end, or over its last token, and says nothing."""
    engine = engines.build(engine_row("hf_static"), tiny, Dense(400), Evaluator(tiny, 16))
    with pytest.raises(ValueError, match="room for 0 tokens"):
        engine.step(ids[:1])
    engine.prefill(ids[None, :9], max_new_tokens=0)
    with pytest.raises(ValueError, match="the static cache is full: it has room for 9 tokens"):
        engine.step(ids[9:10])


def test_unstable_shapes_wear_out_torchs_patience(shallow, ids, monkeypatch):
    """And what is compiled for all lengths at once is compiled once, whatever has worn out before."""
    monkeypatch.setattr(torch_compile, "RECOMPILE_LIMIT", 2)
    graphs, evaluator = {}, Evaluator(shallow, 64)
    exact = evaluator.dense(ids[:60])[19:]
    for word in ("compiled_growing", "compiled_dynamic"):
        engine = engines.build(engine_row(word), shallow, Dense(400), evaluator)
        assert (decode(engine, ids[:60], 20) - exact).abs().max() < TOLERANCE
        graphs[word] = engine.compilation.graphs
    assert graphs == {"compiled_growing": 2, "compiled_dynamic": 1}


@pytest.mark.parametrize("word", ["static", "growing", "eager", "eager_math"])
def test_what_compiles_nothing_has_no_such_cost(tiny, word):
    engine = engines.build(engine_row(word), tiny, Dense(400), Evaluator(tiny, 64))
    assert getattr(engine, "compilation", None) is None


class Operators(TorchDispatchMode):
    """Names of all that torch is asked to do."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.names[function.overloadpacket.__name__] += 1
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize(
    ("word", "rotations", "cache"),
    [("eager", 1, RING), ("static", 1, RING), ("paper", 2, RING), ("growing", 2, Dense(400))],
)
@pytest.mark.parametrize("start", [2, 20, 60])
def test_a_step_neither_waits_nor_rotates_twice(tiny, ids, word, rotations, cache, start):
    """Host numbers in a tensor are copied, and an item is fetched, while the device stands still."""
    engine = engines.build(engine_row(word), tiny, cache, Evaluator(tiny, 64))
    engine.prefill(ids[None, :start], max_new_tokens=1)
    with Operators() as asked:
        engine.step(ids[start : start + 1])
    assert not {"lift_fresh", "_local_scalar_dense", "item"} & set(asked.names)
    layers = (
        tiny.config.num_hidden_layers
    )  # a rotation negates the second half; transformers' own would be two
    assert asked.names["neg"] == rotations * layers
    assert asked.names["cos"] == (0 if word == "paper" else 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="refused without a CUDA device")
@pytest.mark.parametrize(
    "word", ["graph", "compiled_graph", "compiled_tuned_graph", "compiled_reduce_overhead"]
)
def test_a_graph_needs_a_cuda_device(tiny, word):
    with pytest.raises(Unavailable, match="needs a CUDA device"):
        engines.build(engine_row(word), tiny, RING, Evaluator(tiny, 64))


@pytest.mark.skipif(torch.cuda.is_available(), reason="refused without a CUDA device")
@pytest.mark.parametrize("word", ["hf_efficient", "eager_efficient", "eager_cudnn"])
def test_a_kernel_that_torch_lacks_is_refused(tiny, ids, word):
    with pytest.raises(Unavailable, match=r"torch's attention kernel \w+_ATTENTION: No viable backend"):
        decode(engines.build(engine_row(word), tiny, Dense(400), Evaluator(tiny, 64)), ids[:9], 5)


def test_a_refusal_has_torchs_reasons_and_not_those_of_other_kernels(tiny, monkeypatch):
    said = ["Flash kernel not used because: (Triggered internally)", "Expected half. (Triggered internally)"]

    def refuse(*_):
        for line in [*said, "Memory Efficient attention has been runtime disabled."]:
            warnings.warn(line, stacklevel=2)
        raise RuntimeError("No available kernel. Aborting execution.")

    monkeypatch.setattr(sdpa, "scaled_dot_product_attention", refuse)
    kernel, reason = (
        "FLASH_ATTENTION",
        r"^torch's attention kernel FLASH_ATTENTION: Expected half\.$",
    )
    with pytest.raises(Unavailable, match=reason), sdpa.force_sdpa_backend(kernel, tiny):
        refuse()
    with pytest.raises(RuntimeError, match="of the program"), sdpa.force_sdpa_backend(kernel, tiny):
        raise RuntimeError("an error of the program")


def test_many_lengths_of_a_growing_cache_may_be_compiled():
    """torch's own limit of 8 shapes would make the ninth context unavailable."""
    flat = compiled(lambda x: x.flatten())
    for length in range(1, 12):
        assert flat(torch.ones(2, length)).shape == (2 * length,)


@pytest.mark.parametrize("word", ["compiled", "compiled_graph", "eager", "graph", *STOCK])
def test_these_engines_decode_one_stream(word):
    policy, options = (
        ("dense", {"max_tokens": 400}) if word in STOCK else ("streaming", {"budget": 32, "sinks": 4})
    )
    entry = {"family": "baseline", "policy": policy, "options": options, "engine": word, "batch": 2}
    with pytest.raises(UserError, match=f"batch: 2 is more than the 1 of engine {word}"):
        RunTable([entry], "float32")


def test_a_refreshed_cache_is_decoded_alone():
    options = {"budget": 32, "sinks": 4, "refresh_every": 4, "lookback": 60, "selected_tokens": 8}
    entry = {"family": "refresh", "policy": "select", "options": options, "engine": "fused", "batch": [1, 2]}
    with pytest.raises(UserError, match="batch: 2 streams; a cache of select is refreshed for one"):
        RunTable([entry], "float32")


@pytest.mark.parametrize("word", STOCK[:2])
def test_the_attention_of_a_model_is_set_at_most_once_a_stream(tiny, ids, monkeypatch, word):
    """It takes milliseconds."""
    calls, change = [], tiny.set_attn_implementation
    monkeypatch.setattr(tiny, "set_attn_implementation", lambda name: calls.append(name) or change(name))
    decode(engines.build(engine_row(word), tiny, Dense(400), Evaluator(tiny, 64)), ids[:40], 5)
    assert len(calls) <= 2  # for the prompt and for the steps
