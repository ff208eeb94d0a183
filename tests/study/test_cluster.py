"""What jobs ask of a cluster goes with the study's own size, and its profile names rules that exist."""

import re

import pandas as pd
import pytest
import yaml
from helpers import ROOT
from sinkbench.artifacts.files import write_json
from sinkbench.artifacts.parquet import write_table
from sinkbench.study import cluster as module
from sinkbench.study.run_table import FAMILIES
from sinkbench.study.study import Study


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(yaml.safe_load((ROOT / "config.yaml").read_text()))


def tokens(folder, documents: int, tokens: int) -> str:
    """A token file with its record."""
    write_json(folder / "pg19.json", {"documents": documents, "tokens": tokens})
    (folder / "pg19.parquet").touch()
    return str(folder / "pg19.parquet")


def test_scoring_asks_for_time_by_the_length_of_the_text(study, tmp_path):
    long = module.scoring_minutes(study, "recompute-4+2044", tokens(tmp_path, 100, 9_500_000))
    assert module.scoring_minutes(study, "recompute-4+2044", tokens(tmp_path, 1, 95_000)) < long
    slow = module.scoring_minutes(study, "select-4+380+128-r4-h1532-q1-p7", tokens(tmp_path, 5, 163_840))
    assert slow > module.scoring_minutes(study, "streaming-4+508", tokens(tmp_path, 5, 163_840)) >= 30


def test_timing_asks_for_time_by_what_it_times(study):
    least = module.timing_minutes(study, "streaming-4+252.fused")
    assert module.LEAST_MINUTES < least < module.timing_minutes(study, "dense.hf") < 240


def test_aggregation_asks_for_memory_by_its_rows(tmp_path, monkeypatch):
    path = str(tmp_path / "nll.parquet")
    write_table(path, pd.DataFrame({"nll": range(1_000)}), {})
    assert module._rows([path, path]) == 2_000 and module.aggregation_mb([path]) == module.BASE_MB + 1
    monkeypatch.setattr(module, "_rows", lambda paths: 24 * 9_500_000)  # every method on whole books
    assert module.aggregation_mb([]) < 8_000 and 60 < module.aggregation_minutes([]) < 120


@pytest.mark.parametrize("ask", [module.aggregation_mb, module.aggregation_minutes])
def test_a_size_that_is_not_known_yet_names_the_file(ask):
    with pytest.raises(FileNotFoundError) as error:
        ask(["results/none.parquet"])
    assert error.value.filename == "results/none.parquet"


def test_the_profile_names_rules_that_exist():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    rules = (ROOT / "workflow/rules").glob("*.smk")
    names = {name for path in rules for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)}
    assert set(profile["set-resources"]) <= names | {f"{family}_quality" for family in FAMILIES}
