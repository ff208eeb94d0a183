"""Remove the lock that a killed run left in this folder; refuse while a run is alive."""

import sys

from sinkbench.runtime.run_lock import left_locks, try_exclusive


def unlock() -> str:
    """What was done, in one line; exits with a line if a run is alive."""
    with try_exclusive() as is_free:
        if is_free is None:
            sys.exit("error: no lock on this file system; if no run is alive here: snakemake --unlock")
        if not is_free:
            sys.exit("error: a run is alive in this folder; nothing was unlocked")
        locks = left_locks()
        for lock in locks:
            lock.unlink()
    return "unlocked; run again" if locks else "nothing was locked"


if __name__ == "__main__":
    print(unlock())
