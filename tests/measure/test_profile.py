"""Profiles: every kernel finds its part in each kind of engine, and the parts add up to the step."""

import numpy as np
import pandas as pd
import pytest
import synthetic
import torch
from plans import SOURCES, STATISTICS, method, outputs
from sinkbench import registry
from sinkbench.analysis.profiles import profiles
from sinkbench.analysis.select import matching, usable
from sinkbench.artifacts.fingerprint import settings_hash
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.engines import eager
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable
from sinkbench.measure import profile
from sinkbench.measure.attribution import DOUBTFUL, annotate_modules, attribute, weight_shapes
from sinkbench.measure.trace import read_launches, shared_times
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


def test_overlapping_kernels_share_the_time_in_which_any_runs():
    assert shared_times([(0, 4), (2, 6), (10, 11), (5, 5)]) == [3, 3, 1, 0]
    generator = np.random.default_rng(0)
    starts = generator.integers(0, 300, 60)
    spans = [
        (start, start + length) for start, length in zip(starts, generator.integers(0, 20, 60), strict=True)
    ]
    union = {tick for start, end in spans for tick in range(start, end)}
    assert sum(shared_times(spans)) == pytest.approx(len(union))


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
    assert notes["status"] == "ok" and notes["stamp"] == settings_hash(settings) and notes["point"] == 40
    assert len(notes["step_ms"]) == SETTINGS["speed"]["repetitions"]
    assert set(kernels.step) == set(range(profile.PROFILED_STEPS))
    assert set(kernels.part) == {*step_parts.LABELS} - {step_parts.IDLE}
    times = kernels.pivot_table(index="step", columns="part", values="ms", aggfunc="sum").median()
    assert times["other"] < 0.3 * times.sum()
    telling = kernels[kernels.kernel.isin(PART_OF)]
    assert (telling.part == telling.kernel.map(PART_OF)).all()
    products = kernels[kernels.kernel.isin(["aten::addmm", "aten::mm"])]
    counts = products.groupby(["step", "part"]).launches.sum()
    assert counts[0].to_dict() == {"projections": 6, "mlp": 6, "head": 1}


def plan(stamps: dict, speed: dict) -> dict:
    run = {"family": "streaming", "method": "m", "engine": "eager", "batch": 1, "tpot_against": []}
    run |= {"draft_tokens": None, "temperature": None}
    stamps = {"quality": {}, "speed": speed, "profile": stamps}
    return {
        "study": "s",
        "random": False,
        "sources": SOURCES,
        "timed_on": "c",
        "methods": {"m": method(4)},
        "runs": {"m.eager": run},
        "stamps": stamps,
        "statistics": STATISTICS,
    }


def aggregated(folder, wanted: dict, speed: tuple = ()) -> pd.DataFrame:
    paths = [[str(folder / "speed.parquet") for _ in speed], [str(folder / "profile.parquet")]]
    aggregate.aggregate(plan(wanted, dict(speed)), [], *paths, SCHEMA, *outputs(folder))
    return read_table(folder / "out.parquet")[0]


def test_parts_add_up_to_busy_and_with_idle_to_the_step(tokens_path, tmp_path):
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    slow = [100.0, 101.0, 102.0]
    write_table(tmp_path / "profile.parquet", kernels, notes | {"step_ms": slow})
    (found,) = profiles(aggregated(tmp_path, {"m.eager": settings_hash(settings)}))
    assert found.step_ms == pytest.approx(101)
    medians = kernels.groupby(["part", "step"]).ms.sum().groupby("part").median()
    busy = found.parts.drop("idle").value.astype(float)
    assert busy.to_dict() == pytest.approx(medians.to_dict())
    assert sum(found.percent(part) for part in step_parts.LABELS) == pytest.approx(100)


def test_a_step_shorter_than_its_profile_has_no_idle_time(tokens_path, tmp_path):
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    write_table(tmp_path / "profile.parquet", kernels, notes | {"step_ms": [1e-6, 1e-6]})
    (found,) = profiles(aggregated(tmp_path, {"m.eager": settings_hash(settings)}))
    assert found.percent("idle") == 0 and found.step_ms > 1e-6


def test_an_engine_that_cannot_run_says_so_once(tokens_path, tmp_path, monkeypatch):
    def refuse(*_):
        raise Unavailable("this engine needs a CUDA device")

    monkeypatch.setattr("sinkbench.engines.build", refuse)
    settings, kernels, notes = run_profile("eager", tokens_path, tmp_path)
    assert kernels.empty and notes["status"] == "unavailable: this engine needs a CUDA device"
    write_table(tmp_path / "speed.parquet", pd.DataFrame(), notes)
    one = settings_hash(settings)
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
    assert {"part_ms", "launches_per_step"} <= set(load_schema(SCHEMA)["metrics"])


def test_a_study_profiles_the_runs_that_it_names(tmp_path):
    checkout = Checkout.new(tmp_path)
    config = checkout.config() | {"measure": ["profile"], "tables": ["profile"], "figures": ["profile"]}
    checkout.write_config(config)
    jobs = {job for job in checkout.planned() if job.startswith("profile")}
    assert jobs == {"profile streaming-4+124.eager"}  # the other entries say profile: false
