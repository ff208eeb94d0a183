"""The frame of a measuring job: what became of it is recorded beside its numbers."""

import traceback
from collections.abc import Callable
from textwrap import shorten

import pandas as pd
import torch

from sinkbench.environment import environment
from sinkbench.errors import Unavailable
from sinkbench.records import stamp
from sinkbench.store import write_table

# What torch's plain RuntimeErrors say where the device, and no program, is at fault.
OF_THE_DEVICE = (
    "CUDA error",
    "CUDA driver error",
    "Triton Error",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "cuDNN Frontend error",
)
OF_COMPILERS = ("triton.", "torch._dynamo.", "torch._inductor.")  # packages of errors that end a compilation
STATUS_CHARACTERS = 200


def attempt(
    settings: dict, output_path: str, columns: list[str], measure: Callable[[], tuple[pd.DataFrame, dict]]
) -> None:
    """Write the table and the notes (status ok, unless they have one) that `measure()` gives.

    A run that cannot be made here, or that the device or a compiler ends, leaves an empty table with
    `columns` whose status says why; nothing falls back silently.

    Args:
        settings: of the job, with its label and device.

    Raises:
        Exception: whatever else goes wrong; an error of this program is no result.
    """
    notes = opening_notes(settings)
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


def opening_notes(settings: dict) -> dict:
    """What is known before anything is measured: stamp, environment, and status ok."""
    return {"stamp": stamp(settings), "environment": environment(settings["device"]), "status": "ok"}


def failure(error: Exception) -> str | None:
    """The status, in one line, of a run that ended in `error`; None if the error is one of this program."""
    kind = _kind(error)
    return kind and shorten(f"{kind}: {error}", STATUS_CHARACTERS)


def _kind(error: Exception) -> str | None:
    if isinstance(error, (Unavailable, torch.OutOfMemoryError)):
        return "unavailable"
    if isinstance(error, torch.AcceleratorError) or type(error).__module__.startswith(OF_COMPILERS):
        return "failed"
    named = any(words in str(error) for words in OF_THE_DEVICE)
    return "failed" if isinstance(error, RuntimeError) and named else None
