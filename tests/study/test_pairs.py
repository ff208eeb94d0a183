"""What is compared with what, and how many positions recomputation samples."""

import pytest
import yaml
from helpers import ROOT
from sinkbench.artifacts.fingerprint import settings_hash
from sinkbench.study.study import Study
from snakemake.utils import update_config

BASE, DEMO = ROOT / "config.yaml", ROOT / "workflow/studies/demo.yaml"
FULL, ORACLE = "streaming-4+508", "recompute-4+508"


def demo() -> Study:
    config = yaml.safe_load(BASE.read_text())
    update_config(config, yaml.safe_load(DEMO.read_text()))
    return Study(config)


@pytest.fixture(scope="module")
def against() -> dict[str, list[str]]:
    """What the methods of the demonstration are compared with."""
    return {name: about["against"] for name, about in demo().plan()["methods"].items()}


def test_the_baseline_of_the_config_comes_first(against):
    methods = demo().methods
    for name, method in methods.items():
        assert method.perplexity_against in (None, against[name][0])


@pytest.mark.parametrize(
    ("method", "baselines"),
    [
        ("window-0+128", {FULL, ORACLE, "streaming-4+124"}),  # sinks: at an equal budget
        ("streaming-4+124", {FULL, ORACLE}),  # sweep, and the headline's baseline
        ("select-4+92+32-r16-h508-q1-p7", {"streaming-4+124", FULL, ORACLE}),  # refresh and recovery
        (FULL, {ORACLE}),
        ("dense", {FULL, ORACLE}),
        (ORACLE, {FULL}),
    ],
)
def test_every_pair_that_a_verdict_names_is_paired(against, method, baselines):
    assert set(against[method]) == baselines


def test_a_study_without_streaming_has_the_pairs_that_it_names():
    config = demo().config
    runs = [run for run in config["runs"] if run["policy"] == "recompute"]
    plan = Study(config | {"runs": [{**run, "engine": []} for run in runs], "measure": ["quality"]}).plan()
    assert [about["against"] for about in plan["methods"].values()] == [[], [ORACLE]]


def test_the_samples_of_a_corpus_replace_those_of_a_policy_that_samples_and_of_no_other():
    config = demo().config
    sampled = {"corpora": [entry | {"samples": 77} for entry in config["corpora"]]}
    before, after = Study(config), Study(config | sampled)
    assert after.quality_settings(ORACLE, "stdlib")["options"]["samples"] == 77
    for method, corpus in before.scored():
        one, other = (settings_hash(study.quality_settings(method, corpus)) for study in (before, after))
        assert (one != other) == method.startswith("recompute")
    for run in before.runs:
        assert before.timing_settings(run) == after.timing_settings(run)


def test_the_only_document_of_a_corpus_is_sampled_densely():
    config = yaml.safe_load(BASE.read_text())
    for corpus in config["corpora"]:
        assert not corpus.get("join_rows") or corpus["samples"] >= 256
