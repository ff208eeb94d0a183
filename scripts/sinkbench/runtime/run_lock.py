"""A file lock that says whether a run works in this folder. The kernel drops a killed process's lock.

Snakemake's own lock is a file that a killed run leaves behind, and nobody can tell it from that of a living
run. So every run also holds a shared lock of the kernel for as long as it lives; to have it alone means that
nobody runs here, and that what lies there was left behind.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = Path(".snakemake/present.lock")
LEFT = Path(".snakemake/locks")  # Snakemake's own


def hold_run_lock():
    """Share the lock until the returned file is closed or the process ends; waits for an exclusive holder."""
    file = _opened()
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


@contextmanager
def try_exclusive() -> Iterator[bool]:
    """Try to hold the lock alone within the block. Yields whether that succeeded."""
    with _opened() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def left_locks() -> list[Path]:
    """Files of Snakemake's lock in this folder."""
    return sorted(LEFT.glob("*.lock"))


def is_left_by_a_killed_run() -> bool:
    """Whether there is a lock that no living run needs."""
    with try_exclusive() as is_free:
        return is_free and bool(left_locks())


def _opened():
    LOCK.parent.mkdir(exist_ok=True)
    return open(LOCK, "a")
