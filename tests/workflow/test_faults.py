"""Killed processes, full disks, damaged files: what was good is kept, and one line says what to do."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from disks import small_disk
from helpers import ROOT
from sinkbench.artifacts.files import atomic_write, remove_partials
from sinkbench.artifacts.parquet import read_table
from workflow_runner import is_over

sys.path.append(str(ROOT / "benchmarks"))
from faults import VICTIMS, Campaign, differences

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
UNLOCK = [sys.executable, str(ROOT / "scripts/unlock.py")]
SLEEPER = (
    "import time; from sinkbench.runtime.job import job\n"
    "with job('log'): print('ready', flush=True); time.sleep(60)"
)
PARENT = f"""
import os, subprocess, sys
os.environ["SINKBENCH_WORKFLOW_PID"] = str(os.getpid())
child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
print(child.pid, flush=True)
child.wait()
"""
HOLDER = (
    "from sinkbench.runtime.run_lock import hold_run_lock; kept = hold_run_lock(); "
    "print('in', flush=True); input()"
)


def python(program: str, folder: Path, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT | options, **pipes)


def wait_until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_dies_with_its_workflow(tmp_path):
    parent = python(PARENT, tmp_path)
    pid, log = int(parent.stdout.readline()), tmp_path / "log"
    wait_until(lambda: log.exists() and "ready" in log.read_text())
    assert not is_over(pid)
    parent.kill()
    parent.wait()
    wait_until(lambda: is_over(pid))


def test_a_job_whose_workflow_died_before_it_began_does_nothing(tmp_path):
    gone = python("", tmp_path)
    gone.wait()
    job = python(SLEEPER, tmp_path, SINKBENCH_WORKFLOW_PID=str(gone.pid))
    assert job.wait(20) == -signal.SIGKILL
    assert not (tmp_path / "log").exists()


def left_lock(folder: Path) -> Path:
    lock = folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/x\n")
    return lock


def test_unlock_removes_the_lock_of_a_killed_run_and_no_other(tmp_path):
    lock = left_lock(tmp_path)
    holder = python(HOLDER, tmp_path)
    assert holder.stdout.readline() == "in\n"
    refused = subprocess.run(UNLOCK, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == "error: a run is alive in this folder; nothing was unlocked\n"
    assert lock.exists()
    holder.kill()
    holder.wait()
    done = subprocess.run(UNLOCK, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "unlocked; run again\n")
    assert not lock.exists()


def test_two_runs_may_be_present_and_nobody_enters_while_someone_unlocks(tmp_path, monkeypatch):
    from sinkbench.runtime.run_lock import hold_run_lock, try_exclusive

    monkeypatch.chdir(tmp_path)
    with hold_run_lock(), hold_run_lock(), try_exclusive() as is_free:
        assert not is_free
    with try_exclusive() as is_free:
        assert is_free
        late = python(HOLDER, tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            late.wait(1)
    assert late.stdout.readline() == "in\n"
    late.kill()
    late.wait()


def test_what_killed_writers_left_is_swept_and_what_living_ones_write_is_not(tmp_path):
    gone = python("", tmp_path)
    gone.wait()
    (tmp_path / "nll/a").mkdir(parents=True)
    left = tmp_path / f"nll/a/.b.parquet.{gone.pid}.partial"
    left.write_text("half")
    with atomic_write(tmp_path / "nll/a/c.parquet") as partial:
        partial.write_text("growing")
        remove_partials(tmp_path)
        assert partial.exists() and not left.exists()
    assert (tmp_path / "nll/a/c.parquet").read_text() == "growing"


TABLE = "results/toy/measurements.parquet"
NLL = [f"results/toy/nll/{method}/stdlib.parquet" for method in ("dense", "streaming-4+60", "window-0+32")]


def measured_of(checkout) -> pd.DataFrame:
    return read_table(checkout.folder / TABLE)[0]


@pytest.mark.parametrize("victims", [["snakemake"], pytest.param(VICTIMS, marks=pytest.mark.slow)])
def test_three_kills_and_resumes_change_no_number(finished, tmp_path, victims):
    """benchmarks/faults.py in short: Snakemake alone, or a job, Snakemake, and the group of both."""
    checkout = finished.copy(tmp_path / "copy")
    for path in (*NLL[: len(victims)], TABLE):
        (checkout.folder / path).unlink()
    campaign = Campaign(checkout, longest_s=8)
    for victim in victims:
        assert campaign.fault(victim)
    assert [fault["orphans"] for fault in campaign.seen] == [0] * len(victims)
    resumed = campaign.finish()
    assert resumed.returncode == 0, resumed.stdout
    assert differences(finished.folder / "results/toy", checkout.folder / "results/toy") == []
    assert not list(checkout.folder.rglob("*.partial"))


def test_a_variant_that_fails_leaves_its_row_and_is_tried_again(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    engine = checkout.folder / "scripts/sinkbench/engines/hf.py"
    good = engine.read_text()
    engine.write_text(
        good + "\n\nclass Engine:\n    def __init__(self, *_):\n        raise KeyError('lost')\n"
    )
    run = checkout.snakemake(TABLE)
    assert run.returncode == 0, run.stdout
    ending = run.stdout[run.stdout.index("results have no number; what failed is tried again") :]
    assert "  1: failed: nothing is called 'lost' (such as results/toy/logs/speed/dense.hf.log)" in ending
    frame = measured_of(checkout)
    rows = frame[frame["engine"] == "hf"]
    assert set(rows["status"]) == {"failed: nothing is called 'lost'"} and rows["value"].isna().all()
    whole = measured_of(finished)
    assert len(frame[frame["engine"] == "eager"]) >= len(whole[whole["engine"] == "eager"]) - 2
    assert "Traceback" in (checkout.folder / "results/toy/logs/speed/dense.hf.log").read_text()
    assert {"baseline_speed dense.hf", "continuation dense.hf", "aggregate"} <= checkout.planned()
    shutil.rmtree(checkout.folder / ".snakemake/metadata")
    assert "baseline_speed dense.hf" in checkout.planned()


@pytest.fixture
def full_disk(finished, tmp_path):
    """A copy of the finished study without one result, and no byte left where the results lie."""
    checkout = finished.copy(tmp_path / "copy")
    results = checkout.folder / "results"
    results.rename(tmp_path / "kept")
    with small_disk(results, "32m"):
        shutil.copytree(tmp_path / "kept", results, dirs_exist_ok=True)
        (checkout.folder / NLL[0]).unlink()
        with pytest.raises(OSError), open(results / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        yield checkout


def test_a_full_disk_is_one_line_and_keeps_what_is_good(full_disk):
    run = full_disk.snakemake(NLL[0])
    assert run.returncode != 0
    said = [line for line in run.stdout.splitlines() if "MB are free on its disk, and about" in line]
    assert said and said[0].startswith("results: 0 MB"), run.stdout
    assert not (full_disk.folder / NLL[0]).exists()
    for path in NLL[1:]:
        read_table(full_disk.folder / path)
    (full_disk.folder / "results/filler").unlink()
    again = full_disk.snakemake(NLL[0])
    assert again.returncode == 0, again.stdout


def test_a_cut_checkpoint_is_one_line_before_any_job(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    path = checkout.folder / "resources/demo-model/model.safetensors"
    whole = path.read_bytes()
    path.unlink()  # copies of a checkout share it
    path.write_bytes(whole[:-1000])
    before = {name: (checkout.folder / name).read_bytes() for name in NLL}
    run = checkout.snakemake(TABLE)
    assert run.returncode != 0
    assert "resources/demo-model/model.safetensors: cut short or grown" in run.stdout
    assert {name: (checkout.folder / name).read_bytes() for name in NLL} == before
