"""A file lock that says whether a run works in this folder. The kernel drops a killed process's lock.

Snakemake's own lock is a file that a killed run leaves behind, and nobody can tell it from that of a living
run. So every run also holds a shared lock of the kernel for as long as it lives; to have it alone means that
nobody runs here, and that what lies there was left behind. Some network file systems keep no locks: then
nobody can tell, and all else works.
"""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCK = Path(".snakemake/present.lock")
LEFT = Path(".snakemake/locks")  # Snakemake's own


def hold_run_lock():
    """Share the lock until the returned file is closed or the process ends; waits for an exclusive holder.

    Where the file system keeps no locks, it says so in a line and returns None.
    """
    try:
        file = _opened()
        fcntl.flock(file, fcntl.LOCK_SH)
    except OSError as error:
        print(f"{LOCK}: no lock on this file system ({error.strerror}); goes on without it", file=sys.stderr)
        return None
    return file


@contextmanager
def try_exclusive() -> Iterator[bool | None]:
    """Try to hold the lock alone within the block. Yields whether it did; None where nobody can tell."""
    with ExitStack() as held:
        try:
            fcntl.flock(held.enter_context(_opened()), fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except BlockingIOError:
            is_free = False
        except OSError:
            is_free = None
        yield is_free


def left_locks() -> list[Path]:
    """Files of Snakemake's lock in this folder."""
    return sorted(LEFT.glob("*.lock"))


def is_left_by_a_killed_run() -> bool:
    """Whether there is a lock that no living run needs, as far as anybody can tell."""
    with try_exclusive() as is_free:
        return bool(is_free and left_locks())


def _opened():
    LOCK.parent.mkdir(exist_ok=True)
    return open(LOCK, "a", encoding="utf-8")
