"""Jobs run the library of their checkout, whatever Python's search path holds."""

import json

import pytest
from workflow_runner import Checkout

FOREIGN = "raise SystemExit('another library')\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout.new(tmp_path_factory.mktemp("checkout") / "here")


def plant(folder):
    """A library of the same name, as in another clone's scripts."""
    (folder / "sinkbench").mkdir(parents=True)
    (folder / "sinkbench/__init__.py").write_text(FOREIGN)
    return folder


def test_a_library_on_pythonpath_is_not_run(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(plant(tmp_path)))
    done = checkout.snakemake("tokenize")
    assert done.returncode == 0, done.stdout
    record = json.loads((checkout.folder / "results/toy/tokens/stdlib.json").read_text())
    assert record["code"]


def test_a_library_that_python_has_imported_before_is_refused(checkout, tmp_path, monkeypatch):
    (plant(tmp_path) / "sinkbench/__init__.py").write_text("")
    (tmp_path / "sitecustomize.py").write_text("import sinkbench\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = checkout.snakemake("--dry-run")
    assert done.returncode == 1
    line = f"Python imported {tmp_path}/sinkbench, not {checkout.folder}/scripts/sinkbench"
    assert line in done.stdout and "Traceback" not in done.stdout
