"""Where Snakemake may be run, and that no command removes what is under version control."""

import subprocess
import sys

import pytest
import yaml
from helpers import ROOT
from sinkbench.study.study import Study
from snakemake.utils import update_config
from workflow_runner import Checkout

SNAKEMAKE = [sys.executable, "-m", "snakemake", "--cores", "1"]
OVERLAYS = ["workflow/studies/demo.yaml", "toy.yaml"]


@pytest.fixture
def checkout(tmp_path):
    return Checkout.new(tmp_path / "checkout")


@pytest.mark.parametrize("elsewhere", ["--directory", "-s"])
def test_another_working_folder_is_told_where_to_go(checkout, tmp_path, elsewhere):
    (tmp_path / "other").mkdir()
    place = {"--directory": tmp_path / "other", "-s": checkout.folder / "Snakefile"}[elsewhere]
    cwd = {"--directory": checkout.folder, "-s": tmp_path / "other"}[elsewhere]
    overlays = ["--configfile", *(checkout.folder / name for name in OVERLAYS)]
    for more in ([], overlays):
        command = [*SNAKEMAKE, "--dry-run", elsewhere, place, *more]
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 1
        assert f"\nrun snakemake in the checkout: cd {checkout.folder}, or add --directory " in done.stdout


def tracked(checkout: Checkout) -> dict[str, str]:
    """Files of the reference as they lie there."""
    kept = checkout.folder / "docs/reference/toy"
    return {str(path.relative_to(kept)): path.read_text() for path in kept.rglob("*") if path.is_file()}


@pytest.fixture
def kept(checkout):
    """A checkout with a reference of the toy study, and with everything from which it is made, in name."""
    config: dict = {}
    for path in [ROOT / "config.yaml", *(checkout.folder / name for name in OVERLAYS)]:
        update_config(config, yaml.safe_load(path.read_text()))
    stamps = Study(config).plan()["stamps"]
    files = [f"tables/{name}.{ending}" for name in config["tables"] for ending in ("csv", "md")]
    files += [f"figures/{name}.svg" for name in config["figures"]] + ["environment.json"]
    files += [f"{kind}/{run}.parquet" for kind in ("speed", "profile") for run in stamps[kind]]
    for path in [checkout.folder / "results/toy" / name for name in files]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new")
    old = checkout.folder / "docs/reference/toy/old.md"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    return checkout


def test_deleting_all_output_keeps_the_reference(kept):
    assert kept.snakemake("--delete-all-output", "reference").returncode == 0
    assert not (kept.folder / "results/toy/tables/ladder.md").exists()
    assert tracked(kept) == {"old.md": "old"}


def test_the_reference_is_replaced_whole_or_not_at_all(kept):
    script = kept.folder / "scripts/keep_reference.py"
    source = script.read_text()
    script.write_text(source.replace("copyfile(source, target)", "raise RuntimeError"))
    assert kept.snakemake("reference", "--allowed-rules", "reference").returncode == 1
    assert tracked(kept) == {"old.md": "old"}
    script.write_text(source)
    done = kept.snakemake("reference", "--allowed-rules", "reference")
    assert done.returncode == 0, done.stdout
    found = tracked(kept)
    assert "ladder.md" in found and set(found.values()) == {"new"}
    assert any(name.startswith("timings/speed/") for name in found)
    assert {path.name for path in (kept.folder / "docs/reference").iterdir()} == {"ladder", "toy"}
