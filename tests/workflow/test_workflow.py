"""The workflow as a user runs it: to the end, to a report, and from timings that were kept."""

import filecmp
import os
import shutil

import torch
from sinkbench.artifacts.parquet import read_table
from sinkbench.report import catalogue
from sinkbench.results.schema import has_failed

METHODS = 9  # of tests/toy.yaml


def test_rules_are_visible_by_name(finished):
    graph = finished.snakemake("--rulegraph", "--forceall").stdout
    for rule in (
        "tokenize_corpus",
        "baseline_quality",
        "baseline_speed",
        "streaming_quality",
        "quantization_quality",
        "engine_speed",
        "speculation_speed",
        "compile_speed",
        "attention_speed",
        "profile",
        "recall",
        "sinks",
        "aggregate",
        "figures",
        "tables",
        "pages",
        "continuation",
    ):
        assert f'"{rule}"' in graph


def test_the_pages_of_the_report_are_there(finished):
    report = finished.folder / "results/toy/report"
    names = ("findings", "continuations", "provenance")
    findings, texts, provenance = (report / f"{name}.html" for name in names)
    assert str(torch.__version__) in provenance.read_text()
    assert "Which combination to use" in findings.read_text()
    assert "dense.hf" in texts.read_text()
    if not torch.cuda.is_available():
        assert "unavailable: a CUDA graph needs a CUDA device" in texts.read_text()


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
    drafted = frame[frame.draft_tokens.notna()].set_index(["metric", "drafts", "position"]).value.sort_index()
    assert drafted["acceptance_rate"].between(0, 1).all()
    assert drafted["drafted_rounds", "model"].eq(1).all()
    for where, tokens in drafted["tokens_per_step"].items():
        assert 1 <= tokens <= 3
        assert drafted[("speedup", *where)] > 0


def test_the_report_is_made(finished, tmp_path):
    report = tmp_path / "report.html"
    result = finished.snakemake("--report", str(report))
    assert result.returncode == 0, result.stdout
    report = report.read_text()
    assert all(catalogue.menu_entry(word) in report for word in catalogue.CATEGORIES)
    assert (finished.folder / "workflow/report/style.css").read_text().strip() in report


def test_reference_results_are_kept_with_their_environment_and_timings(finished, tmp_path):
    """And a study goes on from them: once the text is made again, nothing is timed a second time."""
    checkout = finished.copy(tmp_path / "copy")
    result = checkout.snakemake("reference")
    assert result.returncode == 0, result.stdout
    kept, results = checkout.folder / "docs/reference/toy", checkout.folder / "results/toy"
    names = {path.name for path in kept.iterdir()}
    assert {"headline.md", "headline.csv", "pareto.svg", "environment.json"} <= names
    for kind in ("speed", "profile"):
        files = os.listdir(results / kind)
        same, *others = filecmp.cmpfiles(results / kind, kept / "timings" / kind, files, shallow=False)
        assert same == files != [] and others == [[], []]
    for made in ("results", ".snakemake"):
        shutil.rmtree(checkout.folder / made)
    shutil.copytree(kept / "timings", results)
    assert checkout.snakemake("tokenize").returncode == 0
    rules = {job.split()[0] for job in checkout.planned()}
    assert "streaming_quality" in rules
    assert not any(rule.endswith(("_speed", "profile")) for rule in rules)
