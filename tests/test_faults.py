"""Killed processes, full disks, damaged files: what was good is kept, and one line says what to do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from sinkbench.records import replacing, sweep

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
UNLOCK = [sys.executable, str(ROOT / "scripts/unlock.py")]
SLEEPER = (
    "import time; from sinkbench.job import job\nwith job('log'): print('ready', flush=True); time.sleep(60)"
)
PARENT = f"""
import os, subprocess, sys
os.environ["SINKBENCH_WORKFLOW_PID"] = str(os.getpid())
child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
print(child.pid, flush=True)
child.wait()
"""
HOLDER = "from sinkbench.presence import enter; kept = enter(); print('in', flush=True); input()"


def python(program: str, folder: Path, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT | options, **pipes)


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


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
    from sinkbench.presence import alone, enter

    monkeypatch.chdir(tmp_path)
    with enter(), enter(), alone() as is_free:
        assert not is_free
    with alone() as is_free:
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
    with replacing(tmp_path / "nll/a/c.parquet") as partial:
        partial.write_text("growing")
        sweep(tmp_path)
        assert partial.exists() and not left.exists()
    assert (tmp_path / "nll/a/c.parquet").read_text() == "growing"
