"""The frame of a measuring job: what became of it is recorded beside its numbers."""

import traceback
from collections.abc import Callable
from textwrap import shorten

import pandas as pd
import torch

from sinkbench.artifacts.digests import inputs_of
from sinkbench.artifacts.files import FAILED
from sinkbench.artifacts.fingerprint import stamp_here
from sinkbench.artifacts.parquet import write_table
from sinkbench.errors import Unavailable, UserError, first_line
from sinkbench.runtime.environment import environment

STATUS_CHARACTERS = 200


def record_outcome(
    settings: dict,
    tokens_path: str,
    output_path: str,
    columns: list[str],
    measure: Callable[[], tuple[pd.DataFrame, dict]],
) -> None:
    """Write the table and the notes (status ok, unless they have one) that `measure()` gives.

    A run that cannot be made here, or that ends in an error, leaves an empty table with `columns` whose
    status says why, and the traceback in its log: one variant does not stop the others, and nothing falls
    back silently. A run that failed is stale, so that the next study tries it again (staleness.stale).

    Args:
        settings: of the job, with its label and device.

    Raises:
        UserError: what the user must mend before anything can be measured, such as a damaged checkpoint.
    """
    notes = opening_notes(settings, tokens_path)
    try:
        table, measured = measure()
        notes |= measured
    except Exception as error:
        if (status := failure(error)) is None:
            raise
        traceback.print_exc()
        notes["status"] = status
        table = pd.DataFrame(columns=columns)
        print(f"NOTHING MEASURED {settings['label']}: {status}", flush=True)
    write_table(output_path, table, notes)


def opening_notes(settings: dict, tokens_path: str) -> dict:
    """What is known before anything is measured: stamp, inputs, environment, and status ok."""
    return {
        **stamp_here(settings),
        "inputs": inputs_of(settings, tokens_path),
        "environment": environment(settings["device"]),
        "status": "ok",
    }


def failure(error: Exception) -> str | None:
    """The status, in one line, of a run that ended in `error`; None if it is the user's to mend."""
    if isinstance(error, (Unavailable, torch.OutOfMemoryError)):
        said = f"unavailable: {error}"
    elif isinstance(error, UserError):
        return None
    else:
        said = f"{FAILED}{_fault(error)}"
    return shorten(said, STATUS_CHARACTERS)


def _fault(error: Exception) -> str:
    """What a fault says; the log has its traceback."""
    if isinstance(error, MemoryError):
        return "the host's memory is full"
    return f"nothing is called {error}" if isinstance(error, KeyError) else first_line(error)
