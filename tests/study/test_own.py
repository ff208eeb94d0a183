"""The overlay for one's own model and text runs as it stands."""

import shutil
import subprocess
import sys

import pytest
import yaml
from helpers import ROOT
from sinkbench.artifacts.parquet import read_table
from sinkbench.study.config import read_study
from snakemake.utils import update_config
from workflow_runner import Checkout

OWN = "workflow/studies/own.yaml"


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the page that the overlay scores."""
    copy = Checkout.new(tmp_path / "checkout")
    for corpus in yaml.safe_load((ROOT / OWN).read_text())["corpora"]:
        target = copy.folder / corpus["glob"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / corpus["glob"], target)
    return copy.folder


def snakemake(folder, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments, "--configfile", OWN]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_it_is_a_valid_study_of_three_runs():
    files = [ROOT / "config.yaml", ROOT / OWN]
    config: dict = {}
    for file in files:
        update_config(config, yaml.safe_load(file.read_text()))
    study = read_study(config, ROOT / "workflow/schemas/config.schema.yaml", list(map(str, files)))
    assert set(study.methods) == {"dense", "streaming-4+252", "window-0+64"}
    assert set(study.runs) == {"dense.hf", "streaming-4+252.eager"}
    assert study.draft is None and not study.inputs.repositories()  # nothing is fetched


def test_it_is_planned(checkout):
    planned = snakemake(checkout, "--dry-run")
    assert "baseline_quality" in planned and "streaming_speed" in planned


@pytest.mark.slow
def test_it_runs(checkout):
    snakemake(checkout)
    measured = read_table(checkout / "results/own/measurements.parquet")[0]
    assert {"perplexity", "tpot_ms"} <= set(measured["metric"])
    for shown in ("tables/headline.html", "figures/pareto.svg", "report/findings.html"):
        assert (checkout / "results/own" / shown).stat().st_size > 0
