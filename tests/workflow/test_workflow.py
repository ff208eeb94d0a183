"""The workflow as a user runs it: to the end, again, and after edits. One toy study serves all tests."""

import filecmp
import os
import re
import shutil

import pytest
import torch
from sinkbench.artifacts.parquet import read_table
from sinkbench.report import catalogue
from sinkbench.results.schema import has_failed

pytestmark = pytest.mark.xdist_group("workflow")  # they edit the checkout that they share
AGGREGATED = {"aggregate", "landing"}
METHODS, RUNS, PROFILES = 9, 8, 1  # of tests/toy.yaml
SWEEP = 4  # its entry that lists window sizes


@pytest.fixture
def checkout(finished):
    """The finished checkout; config and scripts are put back afterwards."""
    keep = finished.folder.parent / "keep"
    shutil.copytree(finished.folder / "scripts", keep / "scripts")
    shutil.copy(finished.toy, keep / "toy.yaml")
    yield finished
    shutil.rmtree(finished.folder / "scripts")
    shutil.copytree(keep / "scripts", finished.folder / "scripts")
    shutil.copy(keep / "toy.yaml", finished.toy)
    shutil.rmtree(keep)


def measured(planned: set[str]) -> set[str]:
    """The jobs that measure something, and tokenization."""
    return {job for job in planned if re.match(r"tokenize|\w+_quality|\w+_speed|profile", job)}


def test_a_second_run_has_nothing_to_do(checkout):
    assert checkout.planned() == set()


def test_rules_are_visible_by_name(checkout):
    graph = checkout.snakemake("--rulegraph", "--forceall").stdout
    for rule in (
        "tokenize",
        "baseline_quality",
        "baseline_speed",
        "streaming_quality",
        "quantization_quality",
        "engine_speed",
        "speculation_speed",
        "compile_speed",
        "attention_speed",
        "profile",
        "aggregate",
        "figure",
    ):
        assert f'"{rule}"' in graph


def test_comments_and_touches_are_free(checkout):
    for path in (checkout.folder / "scripts").rglob("*.py"):
        path.write_text(path.read_text() + "\n# a comment\n")
    assert checkout.planned() == set()


def test_timing_settings_do_not_redo_perplexity(checkout):
    config = checkout.config()
    config["speed"]["steps"] = 5
    checkout.write_config(config)
    assert measured(checkout.planned()) == {
        "baseline_speed recompute-4+124.fresh",
        "baseline_speed dense.hf",
        "streaming_speed streaming-4+124.eager",
        "engine_speed streaming-4+124.graph",
        "speculation_speed streaming-4+124.eager-k2",
        "compile_speed streaming-4+124.static",
        "attention_speed streaming-4+124.eager_math",
        "quantization_speed streaming-4+124-int4_mlp.eager",
        "profile streaming-4+124.eager",
    }


def test_a_new_window_size_measures_itself_alone(checkout):
    config = checkout.config()
    config["runs"][SWEEP]["options"]["budget"] = [64, 32, 16]
    checkout.write_config(config)
    planned = checkout.planned()
    assert measured(planned) == {"streaming_quality streaming-4+12 stdlib"}
    assert planned >= AGGREGATED


def test_a_removed_window_size_measures_nothing(checkout):
    config = checkout.config()
    config["runs"][SWEEP]["options"]["budget"] = [64]
    checkout.write_config(config)
    planned = checkout.planned()
    assert measured(planned) == set()
    assert planned >= AGGREGATED


def test_statistics_redo_only_the_aggregation(checkout):
    config = checkout.config()
    config["statistics"]["confidence"] = 0.9
    checkout.write_config(config)
    planned = checkout.planned()
    assert measured(planned) == set()
    assert planned >= AGGREGATED


def test_another_seed_continues_the_prompt_anew_and_measures_nothing_else(checkout):
    config = checkout.config()
    config["continuations"]["seed"] = 7
    checkout.write_config(config)
    runs = ("dense.hf", "streaming-4+124.eager", "streaming-4+124.graph")
    assert checkout.planned() == {*(f"continue_prompt {run}" for run in runs), "continuations"}


def test_the_pages_of_the_report_are_there(finished):
    report = finished.folder / "results/toy/report"
    names = ("findings", "continuations", "provenance")
    findings, texts, provenance = (report / f"{name}.html" for name in names)
    assert str(torch.__version__) in provenance.read_text()
    assert "Which combination to use" in findings.read_text()
    assert "dense.hf" in texts.read_text()
    if not torch.cuda.is_available():
        assert "unavailable: a CUDA graph needs a CUDA device" in texts.read_text()


def test_a_corpus_edit_redoes_what_reads_it(checkout):
    config = checkout.config()
    config["corpora"][0]["max_tokens"] = 1100
    checkout.write_config(config)
    planned = measured(checkout.planned())
    assert "tokenize stdlib" in planned
    assert len(planned) == 1 + METHODS + RUNS + PROFILES


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        (
            "policies/window.py",
            {"baseline_quality window-0+128 stdlib", "baseline_quality window-0+32 stdlib"},
        ),
        ("engines/hf.py", {"baseline_speed dense.hf"}),
        ("verification.py", {"speculation_speed streaming-4+124.eager-k2"}),
        ("corpora/files.py", set()),
    ],
)
def test_a_library_edit_redoes_what_imports_it(checkout, module, rules):
    path = checkout.folder / "scripts/sinkbench" / module
    path.write_text(path.read_text() + "\nEDITED = True\n")
    assert measured(checkout.planned()) == rules


def test_an_edit_of_the_evaluator_redoes_all_that_score(checkout):
    path = checkout.folder / "scripts/sinkbench/attention/chunked.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    planned = measured(checkout.planned())
    assert len(planned) == METHODS + RUNS + PROFILES
    assert not any(job.startswith("tokenize") for job in planned)


def test_measurements_are_whole(finished):
    frame, notes = read_table(finished.folder / "results/toy/measurements.parquet")
    assert notes["study"] == "toy"
    failed = frame[has_failed(frame)]
    if not torch.cuda.is_available():
        assert failed[["engine", "metric", "status"]].values.tolist() == [
            ["graph", "tpot_ms", "unavailable: a CUDA graph needs a CUDA device"]
        ]
    pooled = frame[(frame.metric == "perplexity") & frame.document.isna()]
    assert len(pooled) == METHODS
    assert frame[frame.metric == "nll_gap"].value.max() < 1e-4
    drafted = frame[frame.draft_tokens.notna()].set_index(["metric", "position"]).value
    assert drafted["acceptance_rate"].between(0, 1).all()
    for position, tokens in drafted["tokens_per_step"].items():
        assert 1 <= tokens <= 3
        assert drafted["speedup", position] > 0


def test_the_report_is_made(finished):
    result = finished.snakemake("--report", "report.html")
    assert result.returncode == 0, result.stdout
    report = (finished.folder / "report.html").read_text()
    assert all(catalogue.menu_entry(word) in report for word in catalogue.CATEGORIES)
    assert (finished.folder / "workflow/report/style.css").read_text().strip() in report


def test_reference_results_are_kept_with_their_environment_and_timings(finished):
    result = finished.snakemake("reference")
    assert result.returncode == 0, result.stdout
    kept = finished.folder / "docs/reference/toy"
    names = {path.name for path in kept.iterdir()}
    assert {"headline.md", "headline.csv", "pareto.svg", "environment.json"} <= names
    for kind in ("speed", "profile"):
        own = finished.folder / "results/toy" / kind
        files = os.listdir(own)
        same, *others = filecmp.cmpfiles(own, kept / "timings" / kind, files, shallow=False)
        assert same == files != [] and others == [[], []]


def test_a_study_goes_on_from_timings_that_were_kept(finished, tmp_path):
    """Once the text, which is not kept, is made again, nothing is timed a second time."""
    assert finished.snakemake("reference").returncode == 0
    fresh = finished.copy(tmp_path / "fresh", "results", ".snakemake")
    shutil.copytree(fresh.folder / "docs/reference/toy/timings", fresh.folder / "results/toy")
    assert fresh.snakemake("--until", "tokenize").returncode == 0
    planned = measured(fresh.planned())
    assert planned and all(job.split()[0].endswith("_quality") for job in planned)
