"""What no job of a config makes is found, and nothing else is."""

from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from sinkbench.study.orphans import describe_orphans, orphans, remove_orphans
from sinkbench.study.study import Study
from snakemake.utils import update_config

KEPT = [
    "measurements.parquet",
    "environment.json",
    "report/old.html",
    "logs/speed/dense.stock.log",
]
GONE = [
    "speed/dense.stock.parquet",
    "continuations/dense.stock.parquet",
    "nll/copy-4+92+32-r8-h508-m1-s8-b1/stdlib.parquet",
    "nll/dense/other.parquet",
    "tokens/other.parquet",
    "tables/nothing.html",
    "tables/nothing.csv",
    "tables/.nothing.made.json",
]


@pytest.fixture
def study() -> Study:
    config: dict = {}
    for file in ("config.yaml", "workflow/studies/demo.yaml"):
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    return Study(config)


@pytest.fixture
def results(study, tmp_path) -> Path:
    """All results that the study has, and some that it once had."""
    folder = tmp_path / "results"
    measured = [f"{kind}/{name}.parquet" for kind, name, _ in study.measuring_jobs()]
    shown = [
        f"tables/{name}.{ending}" for name in study.config["tables"] for ending in ("html", "csv", "rst")
    ]
    shown += [f"tables/.{name}.made.json" for name in study.config["tables"]]  # what each was made from
    shown += [
        f"figures/{name}.{ending}" for name in study.config["figures"] for ending in ("svg", "pdf", "rst")
    ]
    tokens = [f"tokens/{corpus}.{ending}" for corpus in study.corpora for ending in ("parquet", "json")]
    for name in (*measured, *shown, *tokens, *KEPT, *GONE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_only_what_the_config_no_longer_names_is_an_orphan(study, results):
    assert {str(path.relative_to(results)) for path in orphans(study, results)} == set(GONE)


def test_removing_leaves_the_rest_and_no_empty_folder(study, results):
    before = {path for path in results.rglob("*") if path.is_file()}
    found = orphans(study, results)
    remove_orphans(found, results)
    assert {path for path in results.rglob("*") if path.is_file()} == before - set(found)
    assert not (results / "nll/copy-4+92+32-r8-h508-m1-s8-b1").exists()
    assert (results / "nll/dense").is_dir()
    assert orphans(study, results) == []


def test_a_folder_that_is_left_empty_goes_and_the_results_stay(study, tmp_path):
    path = tmp_path / "nll/gone/stdlib.parquet"
    path.parent.mkdir(parents=True)
    path.touch()
    remove_orphans([path], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_line_counts_them(study, results):
    assert describe_orphans([], study) is None
    said = describe_orphans(orphans(study, results), study)
    assert said.startswith(f"in results/demo {len(GONE)} files belong to no job of this config; ")
    assert "\n" not in said and "remove_orphans" in said


def test_no_results_have_no_orphans(study, tmp_path):
    assert orphans(study, tmp_path / "none") == []
