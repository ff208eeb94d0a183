"""The memory line agrees with the model itself and with the peaks that one card showed."""

import json
import subprocess
import sys

import pytest
import yaml
from helpers import FIXTURES, ROOT
from sinkbench.runtime import memory
from sinkbench.study import device_memory as module
from sinkbench.study.device_memory import GIB, ModelSizes, describe_memory
from sinkbench.study.study import Study
from snakemake.utils import update_config

HUB = {"source": "hub", "repo": "org/neox", "revision": "0" * 40, "dtype": "float32"}


def study(*overlays: str, **changes) -> Study:
    config: dict = {}
    for file in ("config.yaml", *(f"workflow/studies/{name}.yaml" for name in overlays)):
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    return Study(config | changes)


@pytest.fixture(autouse=True)
def _no_card(monkeypatch):
    monkeypatch.setattr(module, "try_run", lambda *_: None)


@pytest.fixture(scope="module")
def latency() -> Study:
    """Pythia-2.8b's shape."""
    return study("latency")


def test_weights_and_keys_are_those_of_the_model(tiny):
    sizes = ModelSizes(json.loads((FIXTURES / "neox-tiny/config.json").read_text()), item_bytes=4)
    assert sizes.weights == sum(weight.nbytes for weight in tiny.parameters())
    assert sizes.keys(7) == 7 * 2 * 3 * 64 * 4
    assert sizes.keys(7, layers=1, widened=True) == 7 * (2 * 64 + 16) * 4  # a quarter of the keys turns


@pytest.mark.parametrize(
    ("run", "peak_gib", "within"),
    [
        ("dense.fused", 29.49, 0.01),  # docs/reference/latency, in GiB
        ("dense.hf", 16.28, 0.05),
        ("streaming-4+2044.eager", 7.48, 0.01),
        ("streaming-4+508.fused", 6.35, 0.01),
        ("streaming-4+2044.fused-x16", 17.46, 0.04),
        ("streaming-4+2044.graph-k4", 7.90, 0.01),
        ("select-4+380+128-r16-h1532-q1-p7.fused", 6.60, 0.05),
    ],
)
def test_estimates_are_near_measured_peaks(latency, run, peak_gib, within):
    need = module._timing(latency, run, latency.model["shape"], latency.draft["shape"])
    assert (need.weights + need.cache + need.prefill) / GIB == pytest.approx(peak_gib, rel=within)


def test_the_line_is_about_the_job_that_needs_most(latency):
    line = describe_memory(latency, [], ["streaming-4+2044.fused", "dense.fused"])
    assert line == (
        "needs about 29.5 GiB on the device: weights 5.2, cache 10.3, prefill 14.0 or, in turn, bandwidth "
        "yardstick 2.0 (dense.fused at 32,768 tokens); too much for GeForce RTX 4090, GeForce RTX 3090"
    )
    small = describe_memory(latency, [], ["streaming-4+2044.fused"])
    assert (
        small.startswith("needs about 7.8 GiB ") and "too much" not in small
    )  # the yardstick is more than a prompt takes


def test_the_yardstick_is_that_of_the_bandwidth():
    assert 2 * memory.BYTES["cuda"] == module.YARDSTICK_BYTES


def test_a_perplexity_needs_no_cache_and_no_yardstick(latency):
    line = describe_memory(latency, [("dense", "stdlib")], [])
    assert "cache 0.0, prefill 13.6 (dense)" in line


@pytest.mark.parametrize(("cards", "warns"), [("24576", True), ("143771\n24576", True), ("143771", False)])
def test_a_card_that_is_too_small_is_said(latency, monkeypatch, cards, warns):
    monkeypatch.setattr(module, "try_run", lambda *_: cards)
    line = describe_memory(latency, [], ["dense.fused"])
    assert line.endswith("; WARNING: a card here has 24.0 GiB") == warns and "RTX 3090" in line


def test_a_model_that_is_not_fetched_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    waiting = study(model=HUB, draft={key: value for key, value in HUB.items() if key != "dtype"})
    said = describe_memory(waiting, [("dense", "pg19")], [])
    assert said == "device memory: unknown until the sizes of org/neox, org/neox are here"


def test_every_run_of_every_study_has_an_estimate(monkeypatch):
    monkeypatch.chdir(ROOT)
    for overlay in ("demo", "latency"):
        planned = study(overlay)
        configs = [module.config_of(model) for model in (planned.model, planned.draft)]
        for run in planned.runs:
            assert module._timing(planned, run, *configs).total > 0
        for method in planned.methods:
            assert module._scoring(planned, method, configs[0]).total > 0


def test_planning_imports_no_torch():
    program = "import sys; import sinkbench.study.cost; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", check=True)


def test_an_engine_of_one_launch_is_timed_over_256_steps_and_more(latency):
    """At a millisecond a step the study's 32 are soon over; of rounds with drafts each place has 32."""
    steps = {run: latency.timing_settings(run)["speed"]["steps"] for run in latency.runs}
    asked = latency.config["speed"]["steps"]
    assert steps["streaming-4+2044.fused"] == steps["dense.graph"] == 256 > asked
    assert steps["streaming-4+2044.eager"] == asked
    assert steps["streaming-4+2044.graph-k2"] == steps["streaming-4+2044.fused-k2"] == 32
