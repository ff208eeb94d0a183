"""Results as they come: what is there is shown, what is not is named, and nothing else is touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers import Checked
from sinkbench.analysis.select import statuses
from sinkbench.artifacts.parquet import read_table
from sinkbench.results.schema import PENDING

FILES = ["workflow/studies/demo.yaml", "toy.yaml"]
LOST = [
    "nll/streaming-4+60",
    "speed/dense.hf.parquet",
    "continuations/dense.hf.parquet",
    "measurements.parquet",
]
STALE = "streaming-4+124.static"  # by the edit of its row
SHOWN = ("tables", "figures", "report", "measurements.parquet", "measurements.csv", "environment.json")


def plain(folder: Path) -> subprocess.CompletedProcess:
    """The script, without Snakemake."""
    command = [sys.executable, "scripts/so_far.py", *FILES]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and date of all files beside so_far, but for the memo of digests, which grows by looking."""
    found = [path for path in (folder / "results").rglob("*") if path.is_file() and path.name != ".sha256"]
    kept = [path for path in found if "so_far" not in path.relative_to(folder).parts]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in kept}


@pytest.fixture(scope="module")
def interrupted(finished, tmp_path_factory):
    """A copy of the finished study that lost results, holds others of another config, and was looked at."""
    checkout = finished.copy(tmp_path_factory.mktemp("so_far") / "copy")
    results = checkout.folder / "results/toy"
    for name in LOST:
        for path in [results / name] if (results / name).is_file() else (results / name).glob("*"):
            path.unlink()
    for name in ("tables", "figures", "report"):
        for path in (results / name).glob("*"):
            path.unlink()
    config = checkout.config()
    (row,) = (row for row in config["runs"] if row.get("engine") == "static")
    row["positions"] = [512]
    checkout.write_config(config)
    before = files(checkout.folder)
    done = checkout.snakemake("so_far")
    assert done.returncode == 0, done.stdout
    assert files(checkout.folder) == before
    return checkout


def test_what_is_there_is_shown_and_what_is_not_is_named(interrupted):
    folder = interrupted.folder / "results/toy/so_far"
    assert all((folder / name).exists() for name in SHOWN)
    frame, _ = read_table(folder / "measurements.parquet")
    pending = {name for name, status in statuses(frame).items() if status == PENDING}
    assert pending == {"streaming-4+60 on stdlib", "dense.hf", STALE}
    full = pd.read_csv(folder / "tables/full.csv").set_index("Run")
    assert full["Status"][STALE] == full["Status"]["dense.hf"] == PENDING
    assert full["Perplexity"].notna()[STALE] and pd.isna(full["TPOT [ms]"][STALE])
    assert full["TPOT [ms]"].notna()["streaming-4+124.eager"]


def test_the_report_leads_to_all_of_it(interrupted):
    folder = interrupted.folder / "results/toy/so_far"
    text = (folder / "report.html").read_text()
    links = [value for name, value in Checked(text).attributes if name in ("href", "src")]
    assert links and all((folder / link).stat().st_size for link in links)
    assert PENDING in text and "dense.hf" in text and "2 of 9 timings" not in text.split("<h2>")[0]
    assert PENDING in (folder / "report/continuations.html").read_text()


def test_it_works_while_a_run_holds_the_lock_and_measures_nothing(interrupted):
    before = files(interrupted.folder)
    locks = interrupted.folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    for name in ("0.input.lock", "0.output.lock"):
        (locks / name).write_text(f"{interrupted.folder}/results/toy/x\n")
    done = plain(interrupted.folder)
    assert done.returncode == 0 and done.stdout.endswith("results/toy/so_far/report.html\n"), done.stderr
    assert files(interrupted.folder) == before
    for lock in locks.iterdir():
        lock.unlink()


def test_the_study_still_wants_all_of_it(interrupted):
    rules = {job.split()[0] for job in interrupted.planned()}
    assert {"streaming_quality", "baseline_speed", "compile_speed", "aggregate", "tables"} <= rules


def test_a_study_that_has_nothing_says_so(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    shutil.rmtree(checkout.folder / "results")
    done = plain(checkout.folder)
    assert done.returncode == 0, done.stderr
    text = (checkout.folder / "results/toy/so_far/report.html").read_text()
    assert text.count(" planned results are there") == 1 and "0 of " in text


def test_a_mistake_in_the_config_is_one_line(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    checkout.write_config(checkout.config() | {"study": "No Name"})
    done = plain(checkout.folder)
    assert done.returncode == 1 and done.stderr.startswith("error: toy.yaml: study: ")
    assert len(done.stderr.splitlines()) == 1 and os.listdir(checkout.folder / "results/toy")
