"""What a user sees of a running job: a moving line on a terminal, nothing without one, all in the log."""

import os
import pty
import subprocess
import sys

import pytest
from helpers import ROOT

JOB = """
import sys
sys.path.insert(0, sys.argv[1])
from sinkbench.runtime import progress
from sinkbench.runtime.job import job
progress.LIVE_INTERVAL_S = progress.LOG_INTERVAL_S = 0
with job(sys.argv[2]), progress.Progress("a label", total=3) as count:
    for _ in range(3):
        count(1)
"""
LAST = "a label: 3 of 3 tokens"


def run(log, **streams) -> None:
    command = [sys.executable, "-c", JOB, str(ROOT / "scripts"), str(log)]
    subprocess.run(command, check=True, timeout=60, **streams)


def everything_from(descriptor: int) -> str:
    """What was written to a terminal that nobody holds open any more."""
    parts = []
    while True:
        try:
            parts.append(os.read(descriptor, 4096))
        except OSError:
            return b"".join(parts).decode()


def test_a_terminal_shows_one_line_that_moves_and_goes(tmp_path):
    master, terminal = pty.openpty()
    run(tmp_path / "log", stderr=terminal)
    os.close(terminal)
    shown = everything_from(master)
    assert [f"a label: {done} of 3 tokens" in shown for done in (1, 2, 3)] == [True] * 3
    assert "\n" not in shown and shown.endswith("\r\x1b[K\r")
    assert LAST in (tmp_path / "log").read_text()


@pytest.mark.parametrize("log", ["log", "folder/log"])
def test_without_a_terminal_the_log_alone_has_it(log, tmp_path):
    done = tmp_path / "output"
    with done.open("w") as output:
        run(tmp_path / log, stdout=output, stderr=output)
    assert done.read_text() == ""
    lines = (tmp_path / log).read_text().splitlines()
    assert len(lines) == 4 and LAST in lines[-1] and not any("\x1b" in line for line in lines)
