"""The frame of every script: a log that holds everything, errors in one line, no orphans."""

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sinkbench.errors import UserError
from sinkbench.runtime.progress import show_on

WORKFLOW = "SINKBENCH_WORKFLOW_PID"  # the process that starts the jobs, if there is one
ROUNDED_PRODUCTS = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"  # has torch multiply float32 with 10 bits on a GPU
PR_SET_PDEATHSIG = 1  # linux/prctl.h
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # what a write to the log meets first on a full disk


def prepare_jobs(scripts: str) -> None:
    """Set what the processes of jobs inherit: where they find the library, and that float32 means float32.

    Snakemake has them look in the folder of the scripts last, behind what PYTHONPATH or packages hold.
    """
    folders = [scripts, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    os.environ.pop(ROUNDED_PRODUCTS, None)


@contextmanager
def job(log_path: str) -> Iterator[None]:
    """Send all output to the log, child processes' output included. A UserError ends the job with its line.

    Progress is shown on the terminal as well, if there is one.

    Snakemake's `log:` names the file but captures nothing for scripts, so file descriptors are redirected.
    """
    end_with_the_workflow()
    terminal = os.dup(2)
    show_on(terminal)
    try:
        Path(log_path).parent.mkdir(parents=True, exist_ok=True)
        with open(log_path, "w", encoding="utf-8") as log:
            for stream in (sys.stdout, sys.stderr):  # whatever the locale, and whatever bytes a name has
                stream.flush()
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        yield
    except UserError as error:
        _end(error, terminal)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _end(error, terminal)


def end_with_the_workflow() -> None:
    """Ask the kernel to kill this process when its parent has ended, for whatever reason.

    A job that outlives its workflow would hold the device, and write where the next one writes. Linux only.
    """
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        return
    workflow = os.environ.get(WORKFLOW)
    if workflow and not _lives(workflow):  # it died before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)


def _lives(pid: str) -> bool:
    """Whether the process runs; one that is dead but not yet waited for does not."""
    try:
        return (
            Path("/proc", pid, "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
        )
    except OSError:
        return False


def _end(error: Exception, terminal: int) -> None:
    """Say what was wrong in the log, or on the terminal where no log can be written."""
    line = f"error: {error}\n"
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        os.write(terminal, line.encode())
    raise SystemExit(1)
