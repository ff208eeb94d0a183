"""Profiles: every kernel finds its part in each kind of engine, and the parts add up to the step."""

from collections import Counter
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic
import torch
from helpers import CODE
from plans import SOURCES, STATISTICS, method, outputs
from sinkbench import registry
from sinkbench.analysis.profiles import profiles
from sinkbench.analysis.select import PROFILE, matching, usable
from sinkbench.artifacts.fingerprint import stamp_of
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.engines import eager
from sinkbench.engines.decode import decode_nll
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable
from sinkbench.measure import profile, read_rate
from sinkbench.measure.attribution import DOUBTFUL, annotate_modules, attribute, weight_shapes
from sinkbench.measure.bench import Bench
from sinkbench.measure.read_rate import assert_slower
from sinkbench.measure.stub import without_attention
from sinkbench.measure.trace import own_times, read_launches
from sinkbench.model import forward
from sinkbench.model.loading import random_model
from sinkbench.results import aggregate, step_parts
from sinkbench.results.schema import load_schema
from speed_jobs import SETTINGS
from synthetic import SCHEMA
from traces import COMPILED, FLASH, LAYERS, QKV, STEP, D, F, Trace, V
from workflow_runner import Checkout

EXPECTED = [part for *_, part in STEP]


def small_model(vocabulary: int = V):
    sizes = {"hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
    shape = {**sizes, "vocab_size": vocabulary, "intermediate_size": F}
    return random_model(shape, 0, torch.float32, "cpu")


@pytest.fixture(scope="module")
def shapes() -> dict:
    return weight_shapes(small_model())


def attributed(trace: Trace, shapes: dict, own: dict | None = None) -> list[str]:
    """Parts of the marked step; what ran outside of it is the engine's warm-up."""
    launches = read_launches([*trace.events, {"ph": "M", "name": "process_name"}], cuda=True)
    parts = attribute(launches, shapes, own or {})
    return [part for launch, part in zip(launches, parts, strict=True) if launch.step == 0]


def test_a_kernel_that_waits_beside_its_predecessor_is_not_charged_with_that():
    """A short kernel that is there from the first moment takes no time from the long one before it."""
    assert own_times([(0, 10), (0.5, 12), (12, 13)]) == [10, 2, 1]
    assert own_times([(3, 4), (0, 10)]) == [0, 10]
    generator = np.random.default_rng(0)
    starts = generator.integers(0, 300, 60)
    spans = [
        (start, start + length) for start, length in zip(starts, generator.integers(0, 20, 60), strict=True)
    ]
    union = {tick for start, end in spans for tick in range(start, end)}
    assert sum(own_times(spans)) == pytest.approx(len(union))


def test_kernels_of_unknown_origin_are_no_profile():
    trace = Trace()
    with trace.step():
        trace.launch("cudaLaunchKernel", "k1", "k2")
    events = [event for event in trace.events if event["cat"] != "cuda_runtime"]
    with pytest.raises(Unavailable, match="2 kernels without a call, as k1"):
        read_launches(events, cuda=True)


def test_operators_on_a_cpu_are_charged_with_their_own_time():
    trace = Trace()
    with trace.step(), trace.inside("cpu_op", "aten::linear", **{"Input Dims": QKV}):
        trace.now += 3
        with trace.inside("cpu_op", "aten::addmm"):
            trace.now += 10
    launches = read_launches(trace.events, cuda=False)
    assert [(launch.name, launch.us) for launch in launches] == [("aten::linear", 5), ("aten::addmm", 11)]
    assert [operator.name for operator in launches[1].operators] == ["aten::linear", "aten::addmm"]


def test_kernels_of_eager_operators_go_by_the_module_that_runs(shapes):
    trace = Trace()
    with trace.step():
        trace.run(STEP)
    assert attributed(trace, shapes) == EXPECTED


def test_no_module_runs_yet_when_a_step_begins(shapes):
    trace = Trace()
    trace.annotate(step_parts.HEAD)
    with trace.step():
        trace.run([("aten::copy_", [[1]], "elementwise"), *STEP])
    assert attributed(trace, shapes) == [step_parts.OTHER, *EXPECTED]


def test_a_graph_takes_the_parts_of_the_same_kernels_run_without_it(shapes):
    nameless = [(*about, f"k{index}", part) for index, (*about, _, part) in enumerate(STEP)]
    trace = Trace()
    trace.run([("aten::copy_", [[1]], "k3", step_parts.OTHER), *nameless])
    with trace.step(), trace.inside("cpu_op", "aten::linear", **{"Input Dims": QKV}):
        trace.launch("cudaGraphLaunch", *(kernel for _, _, kernel, _ in nameless))
    assert attributed(trace, shapes) == EXPECTED


def test_each_graph_of_a_step_finds_its_own_kernels(shapes):
    kernels = [kernel for _, _, kernel, _ in STEP]
    trace = Trace()
    trace.run([*STEP[:12], ("aten::copy_", [[1]], "elementwise", step_parts.OTHER), *STEP[12:]])
    with trace.step():
        trace.launch("cudaGraphLaunch", *kernels[:12])
        trace.launch("cudaGraphLaunch", *kernels[12:])
    assert attributed(trace, shapes) == EXPECTED


def test_a_fill_is_the_same_fill_whatever_a_graph_says_of_its_memory(shapes):
    trace = Trace()
    trace.run([("aten::zero_", [[1]], "Memset (Device)", step_parts.PROJECTIONS), *STEP])
    with trace.step():
        trace.launch("cudaGraphLaunch", "Memset (Unknown)", *(kernel for _, _, kernel, _ in STEP))
    assert attributed(trace, shapes) == [step_parts.PROJECTIONS, *EXPECTED]


def test_a_graph_that_nothing_resembles_goes_by_names_and_guesses_nothing(shapes):
    kernels = ["gather", "layer_norm_kernel", "gemv2T", "elementwise", "Memcpy DtoD", FLASH, "nvjet_splitK"]
    trace = Trace()
    trace.run(STEP)
    with trace.step():
        trace.launch("cudaGraphLaunch", *kernels, "splitKreduce_kernel", "GeluCUDAKernelImpl")
    parts = ["other", "norms", DOUBTFUL, "other", "other", "attention", DOUBTFUL, DOUBTFUL, "mlp"]
    assert attributed(trace, shapes) == parts


def test_compiled_kernels_go_by_shapes_and_by_the_names_in_theirs(shapes):
    trace = Trace()
    with trace.step():
        trace.compiled(COMPILED)
    assert attributed(trace, shapes) == [part for *_, part in COMPILED]


def test_compiled_kernels_of_a_graph_keep_the_parts_of_the_warm_up(shapes):
    trace = Trace()
    trace.compiled(COMPILED)
    with trace.step():
        trace.launch("cudaGraphLaunch", *(name for name, *_ in COMPILED))
    assert attributed(trace, shapes) == [part for *_, part in COMPILED]


def test_compiled_products_with_weights_of_one_shape_count_together():
    trace = Trace()
    with trace.step():
        trace.compiled([("triton_red_fused_mm_1", [[1, D], [F, D]], ""), COMPILED[2], COMPILED[4]])
    alike = weight_shapes(small_model(vocabulary=F))
    assert attributed(trace, alike) == ["head+mlp", step_parts.PROJECTIONS, step_parts.ATTENTION]


def test_what_is_compiled_inside_a_module_or_behind_it_has_its_part(shapes):
    trace = Trace()
    with trace.step():
        trace.annotate(step_parts.ATTENTION)
        trace.run([("aten::mul", [[1]], "elementwise")])
        trace.compiled([("triton_poi_fused_lt_0", [[1]], "")])
    assert attributed(trace, shapes) == 2 * [step_parts.ATTENTION]


def test_modules_annotate_no_compiled_code():
    model, hidden = small_model(), torch.zeros(1, D)
    annotate_modules(model)
    layer = model.gpt_neox.layers[0]
    compiled = torch.compile(lambda hidden: layer.mlp(hidden), backend="eager", fullgraph=True)
    with torch.inference_mode():
        compiled(hidden)
        with torch.profiler.profile(record_shapes=True) as profiler:
            compiled(hidden)
            layer.mlp(hidden)
    launches = read_launches(profile._events(profiler), cuda=False)
    products = [(work.compiled, work.part) for work in launches if work.name == "aten::addmm"]
    assert products == 2 * [(True, step_parts.OTHER)] + 2 * [(False, step_parts.MLP)]


def test_the_engines_own_parts_come_first(shapes):
    own = {
        "qkv_kernel": step_parts.PROJECTIONS,
        "qkv_attention_up_kernel": "projections+attention+mlp",
        "gemm_lm": step_parts.OTHER,
    }
    trace = Trace()
    with trace.step():
        trace.launch("cudaGraphLaunch", "qkv_kernel", "qkv_attention_up_kernel", "gemm_lm")
    assert attributed(trace, shapes, own) == list(own.values())


@pytest.mark.parametrize("shape", [(3 * D, D), (D, 3 * D), (3 * D, 8, 2, 4), (3 * D, 16)])
def test_a_weight_is_known_as_it_is_transposed_unpacked_and_packed(shape):
    model = small_model()
    linear = model.gpt_neox.layers[0].attention.query_key_value
    linear.register_buffer("packed", torch.zeros(3 * D, 16, dtype=torch.int32))
    trace = Trace()
    with trace.step():
        trace.compiled(
            [("triton_poi_fused_mul_0", [[F, D], shape], "")]
        )  # F tokens look like the MLP's weight
    assert attributed(trace, weight_shapes(model)) == [step_parts.PROJECTIONS]


POLICIES = {
    "eager": ("streaming", {"budget": 32, "sinks": 4}),
    "paper": ("streaming", {"budget": 32, "sinks": 4}),
    "hf": ("dense", {"max_tokens": 300}),
    "fresh": ("recompute", {"budget": 32, "sinks": 4, "samples": 1, "first_position": 32}),
}
PART_OF = {
    "aten::embedding": step_parts.OTHER,
    "aten::native_layer_norm": step_parts.NORMS,
    "aten::scaled_dot_product_attention": step_parts.ATTENTION,
    "aten::bmm": step_parts.ATTENTION,
    "aten::softmax": step_parts.ATTENTION,
    "aten::gelu": step_parts.MLP,
    "aten::mm": step_parts.HEAD,
}


def run_profile(engine: str, tokens, folder) -> tuple[dict, pd.DataFrame, dict]:
    policy, options = POLICIES[engine]
    settings = SETTINGS | {"engine": engine_row(engine), "policy": policy, "options": options}
    profile.measure(settings, tokens, folder / "profile.parquet")
    return settings, *read_table(folder / "profile.parquet")


@pytest.mark.parametrize("engine", POLICIES)
def test_a_run_is_profiled_and_every_operator_has_its_part(engine, tokens_path, tmp_path):
    settings, kernels, notes = run_profile(engine, tokens_path, tmp_path)
    assert notes["status"] == "ok" and stamp_of(settings).items() <= notes.items() and notes["point"] == 40
    assert len(notes["step_ms"]) == SETTINGS["speed"]["repetitions"]
    assert set(kernels.step) == set(range(profile.PROFILED_STEPS))
    assert set(kernels.part) == {*step_parts.LABELS} - {step_parts.ATTENTION_IDLE, step_parts.IDLE}
    times = kernels.pivot_table(index="step", columns="part", values="ms", aggfunc="sum").median()
    assert times["other"] < 0.3 * times.sum()
    telling = kernels[kernels.kernel.isin(PART_OF)]
    assert (telling.part == telling.kernel.map(PART_OF)).all()
    products = kernels[kernels.kernel.isin(["aten::addmm", "aten::mm"])]
    counts = products.groupby(["step", "part"]).launches.sum()
    assert counts[0].to_dict() == {"projections": 6, "mlp": 6, "head": 1}


def plan(stamps: dict, speed: dict) -> dict:
    run = {"family": "streaming", "method": "m", "engine": "eager", "batch": 1, "tpot_against": []}
    run |= {"drafts": None, "draft_tokens": None, "temperature": None}
    stamps = {"quality": {}, "speed": speed, "profile": stamps}
    return {
        "study": "s",
        "random": False,
        "sources": SOURCES,
        "timed_on": "c",
        "methods": {"m": method(4)},
        "runs": {"m.eager": run},
        "stamps": stamps,
        "code": CODE,
        "statistics": STATISTICS,
    }


def aggregated(folder, wanted: dict, speed: tuple = ()) -> pd.DataFrame:
    paths = {
        "speed": [str(folder / "speed.parquet") for _ in speed],
        "profile": [str(folder / "profile.parquet")],
    }
    aggregate.aggregate(plan(wanted, dict(speed)), paths, SCHEMA, *outputs(folder))
    return read_table(folder / "out.parquet")[0]


@pytest.mark.parametrize("engine", POLICIES)
def test_a_step_is_timed_with_its_attention_stubbed_in_turn(engine, tokens_path, tmp_path):
    _, _, notes = run_profile(engine, tokens_path, tmp_path)
    assert len(notes["step_without_attention_ms"]) == len(notes["step_ms"])
    assert min(notes["step_without_attention_ms"]) > 0


def operators_of_a_step(name: str, tokens_path, stubbed: bool) -> Counter:
    """Operators of one step behind the first 40 tokens, which is the second with or without attention."""
    policy, options = POLICIES[STUBBED[name]]
    bench = Bench(SETTINGS | {"engine": engine_row(name), "policy": policy, "options": options}, tokens_path)
    prompts = bench.texts(40)
    bench.engine.prefill(prompts, 8)
    with without_attention(bench.model) if stubbed else nullcontext():
        bench.engine.step(prompts[:, -1])
        with torch.profiler.profile() as profiler:
            bench.engine.step(prompts[:, -1])
    return Counter(event.name for event in profiler.events())


STUBBED = dict.fromkeys(("eager", "eager_math", "paper", "static"), "eager")  # and whose policy it decodes
STUBBED |= dict.fromkeys(("growing", "hf", "hf_eager"), "hf") | {"fresh": "fresh"}


@pytest.mark.parametrize("engine", STUBBED)
def test_a_stub_leaves_attention_out_and_nothing_else(engine, tokens_path):
    real, stubbed = (operators_of_a_step(engine, tokens_path, stub) for stub in (False, True))
    layers = 3
    for kept in ("aten::addmm", "aten::native_layer_norm", "aten::gelu"):
        assert stubbed[kept] == real[kept]
    for gone in ("aten::scaled_dot_product_attention", "aten::softmax", "aten::bmm"):
        assert stubbed[gone] == 0
    # Angles and their table, which a step makes once, stay; and the mask of a pass over many tokens.
    launched = ("aten::cat", "aten::mul", "aten::neg", "aten::index_copy_")
    left, gone = (sum(found[name] for name in launched) for found in (stubbed, real - stubbed))
    assert left <= (7 if engine == "fresh" else 4) and gone >= 2 * layers


def test_a_step_follows_a_stubbed_one_as_if_there_had_been_none(tokens_path):
    """After a prefill; and whatever ends the stub, the model is as it was."""
    bench = Bench(SETTINGS, tokens_path)
    text = bench.texts(60)
    before = decode_nll(bench.engine, text, 40)
    with pytest.raises(KeyError), without_attention(bench.model):
        assert not torch.equal(decode_nll(bench.engine, text, 40), before)
        raise KeyError
    assert torch.equal(decode_nll(bench.engine, text, 40), before)
    assert not forward.attention_is_stubbed and "forward" not in vars(
        bench.model.gpt_neox.layers[0].attention
    )


def test_a_compiled_step_is_compiled_anew_without_attention(tokens_path):
    bench = Bench(SETTINGS | {"engine": engine_row("compiled")}, tokens_path)
    text = bench.texts(48)
    before = decode_nll(bench.engine, text, 40)
    with without_attention(bench.model):
        assert not torch.allclose(decode_nll(bench.engine, text, 40)[:, 1:], before[:, 1:])
    assert torch.equal(decode_nll(bench.engine, text, 40), before)


class Overlapping(eager.Engine):
    """An engine that says that its kernels overlap, and what they read."""

    separate = False

    def separate_launches(self):
        self.separate = True

    def bytes_read(self):
        assert self.separate
        return {"aten::addmm": 1000}


def test_overlapping_kernels_are_profiled_apart_and_their_steps_timed_so_too(
    tokens_path, tmp_path, monkeypatch
):
    checked = []
    monkeypatch.setattr(eager, "Engine", Overlapping)
    monkeypatch.setattr(profile, "check_read_rates", lambda table, read, device: checked.append(read))
    row = engine_row("eager") | {"one_launch": True}
    policy, options = POLICIES["eager"]
    settings = SETTINGS | {"engine": row, "policy": policy, "options": options}
    profile.measure(settings, tokens_path, tmp_path / "profile.parquet")
    kernels, notes = read_table(tmp_path / "profile.parquet")
    assert checked == [{"aten::addmm": 1000}] and "step_without_attention_ms" not in notes
    assert len(notes["step_separate_ms"]) == len(notes["step_ms"])
    write_table(
        tmp_path / "profile.parquet", kernels, notes | {"step_ms": [90.0] * 2, "step_separate_ms": [99.0] * 2}
    )
    (found,) = profiles(aggregated(tmp_path, {"m.eager": stamp_of(settings)}))
    assert found.is_separate and found.timed.value == 90 and found.step_ms == pytest.approx(99)


def kernels(**ms: float) -> pd.DataFrame:
    rows = [(step, "mlp", kernel, 1, time) for step in range(3) for kernel, time in ms.items()]
    return pd.DataFrame(rows, columns=profile.COLUMNS)


def test_no_kernel_reads_faster_than_the_memory():
    """65.5 MB in 10.5 us are 6.2 TB/s, and no card has that; in 16 us they are 4.1."""
    read = {"dense_down_kernel": 65_500_000}
    with pytest.raises(RuntimeError, match=r"dense_down_kernel would read 6\.24 TB/s of at most 4\.80"):
        assert_slower(kernels(dense_down_kernel=0.0105), read, 4.8e12)
    assert_slower(kernels(dense_down_kernel=0.016), read, 4.8e12)
    with pytest.raises(RuntimeError, match="no launch of dense_down_kernel"):
        assert_slower(kernels(head_kernel=1.0), read, 4.8e12)


@pytest.mark.parametrize(
    ("card", "measured", "fails"),
    [("NVIDIA H200", 1e12, True), ("a new card", 5e12, True), ("a new card", 6e12, False)],
)
def test_the_limit_is_the_datasheets_or_a_tenth_above_what_was_measured(card, measured, fails, monkeypatch):
    about = SimpleNamespace(name=card, L2_cache_size=1 << 20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
    monkeypatch.setattr(read_rate, "measure_bandwidth", lambda _: {"read": measured})
    table, read = kernels(k=0.0105), {"k": 65_500_000}
    with pytest.raises(RuntimeError) if fails else nullcontext():
        read_rate.check_read_rates(table, read, "cuda")
    about.L2_cache_size = 60 << 20
    read_rate.check_read_rates(table, read, "cuda")  # it may all have been there already


def test_a_wrong_profile_is_a_failed_job_and_no_table(tokens_path, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("the profile is wrong: k would read too fast")

    monkeypatch.setattr(Overlapping, "separate", True)
    monkeypatch.setattr(eager, "Engine", Overlapping)
    monkeypatch.setattr(profile, "check_read_rates", refuse)
    _, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    assert kernels.empty and notes["status"].startswith("failed: the profile is wrong")


def test_bytes_of_a_part_are_those_of_its_kernels(tokens_path, tmp_path):
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    read = {"aten::embedding": 10, "aten::mm": 7_000_000}
    write_table(tmp_path / "profile.parquet", kernels, notes | {"bytes_read": read})
    (found,) = profiles(aggregated(tmp_path, {"m.eager": stamp_of(settings)}))
    assert found.part_bytes == {"other": 10, "head": 7_000_000} and found.bytes_per_s("mlp") is None
    assert found.bytes_per_s("head") == pytest.approx(7e9 / found.parts["value"]["head"])


@pytest.mark.parametrize(
    ("stubbed", "attention", "others"),
    [(40.0, 60.0, 40.0), (200.0, 0.0, 100.0), (0.001, 100.0, 0.0)],
)
def test_waiting_that_goes_with_attention_is_attentions(stubbed, attention, others, tokens_path, tmp_path):
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    times = {"step_ms": [100.0, 100.0], "step_without_attention_ms": [stubbed, stubbed]}
    write_table(tmp_path / "profile.parquet", kernels, notes | times)
    (found,) = profiles(aggregated(tmp_path, {"m.eager": stamp_of(settings)}))
    waits = found.parts["value"]["attention_idle"], found.parts["value"]["idle"]
    busy = found.parts["value"].drop(["attention_idle", "idle"]).sum()
    assert waits == pytest.approx((attention, others), abs=1.01 * busy)
    assert found.step_ms == pytest.approx(100)
    ends = found.parts.loc[["attention_idle", "idle"]]
    assert (ends["low"] <= ends["value"]).all() and (ends["value"] <= ends["high"]).all()


def test_parts_add_up_to_busy_and_with_idle_to_the_step(tokens_path, tmp_path):
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    slow = {"step_ms": [100.0, 101.0, 102.0], "step_without_attention_ms": [50.0, 50.0, 50.0]}
    write_table(tmp_path / "profile.parquet", kernels, notes | slow)
    (found,) = profiles(aggregated(tmp_path, {"m.eager": stamp_of(settings)}))
    assert found.step_ms == pytest.approx(101)
    medians = kernels.groupby(["part", "step"]).ms.sum().groupby("part").median()
    busy = found.parts.drop(["attention_idle", "idle"]).value.astype(float)
    assert busy.to_dict() == pytest.approx(medians.to_dict())
    assert sum(found.percent(part) for part in step_parts.LABELS) == pytest.approx(100)


def test_a_step_shorter_than_its_profile_has_no_idle_time(tokens_path, tmp_path):
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    write_table(tmp_path / "profile.parquet", kernels, notes | {"step_ms": [1e-6, 1e-6]})
    (found,) = profiles(aggregated(tmp_path, {"m.eager": stamp_of(settings)}))
    assert found.percent("idle") + found.percent("attention_idle") == 0 and found.step_ms > 1e-6


def test_an_engine_that_cannot_run_says_so_once(tokens_path, tmp_path, monkeypatch):
    def refuse(*_):
        raise Unavailable("this engine needs a CUDA device")

    monkeypatch.setattr("sinkbench.engines.build", refuse)
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    assert kernels.empty and notes["status"] == "unavailable: this engine needs a CUDA device"
    write_table(tmp_path / "speed.parquet", pd.DataFrame(), notes)
    one = stamp_of(settings)
    alone = aggregated(tmp_path, {"m.eager": one})
    both = aggregated(tmp_path, {"m.eager": one}, (("m.eager", one),))
    for frame, metric in ((alone, "part_ms"), (both, "tpot_ms")):
        assert frame[["metric", "status"]].values.tolist() == [[metric, notes["status"]]]


def test_times_stand_where_only_the_profile_failed():
    frame = synthetic.measurements()
    run = {"method": "streaming-4+508", "engine": "eager", "batch": 1}
    own = (frame["method"] == run["method"]) & (frame["engine"] == "eager") & (frame["metric"] == "part_ms")
    failed = frame[own].head(1).assign(value=None, status="unavailable: no profiler")
    frame = pd.concat([frame[~own], failed], ignore_index=True)
    assert len(matching(usable(frame), metric="tpot_ms", **run)) == len(synthetic.POSITIONS)
    assert matching(usable(frame), metric="part_ms", **run).empty
    assert "Status" not in registry.load("report/tables", "ladder").build(
        frame, {}
    )  # nothing is said against any time


def test_an_engine_cannot_name_a_part_that_does_not_exist(monkeypatch):
    monkeypatch.setattr(eager, "PARTS", {"k": "x"}, raising=False)
    with pytest.raises(ValueError, match="x is not one of mlp"):
        profile.engine_parts(engine_row("eager"))


def test_parts_that_cannot_be_told_apart_have_their_own_place_and_name():
    assert step_parts.ordered(["idle", "mlp+attention", "attention", "projections+mlp", "mlp"]) == [
        "mlp",
        "mlp+attention",
        "projections+mlp",
        "attention",
        "idle",
    ]
    assert step_parts.label("projections+mlp") == "MLP + Projections, together"


def test_metrics_of_a_profile_are_in_the_schema():
    assert set(PROFILE) <= set(load_schema(SCHEMA)["metrics"])


def test_a_study_profiles_the_runs_that_it_names(tmp_path):
    checkout = Checkout.new(tmp_path)
    config = checkout.config() | {"measure": ["profile"], "tables": ["profile"], "figures": ["profile"]}
    checkout.write_config(config)
    jobs = {job for job in checkout.planned() if job.startswith("profile")}
    assert jobs == {"profile streaming-4+124.eager"}  # the other entries say profile: false
