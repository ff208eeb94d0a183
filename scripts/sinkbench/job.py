"""What every script's entry point shares: a log that holds everything, and errors that fit one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sinkbench.errors import UserError


@contextmanager
def job(log_path: str) -> Iterator[None]:
    """Send all output to the log, that of child processes too; end on a UserError with its line.

    Snakemake's `log:` names the file but captures nothing for scripts, so file descriptors are redirected.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    with open(log_path, "w", buffering=1) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")
