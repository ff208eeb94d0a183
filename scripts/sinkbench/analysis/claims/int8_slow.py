"""TorchAO's int8 weights make single-token decoding slower."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time
from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import gains, using
from sinkbench.analysis.select import NotMeasured, run_name, statuses

TECHNIQUE = "Quantization"
GPU_ONLY = True
CLAIM = "Int8 weights slow single-token decoding substantially"
EXPERIMENT = (
    "TorchAO's int8 of all layers (weight-only, and with dynamic activations) was decoded on every engine "
    "beside the same cache with unquantized weights."
)
THRESHOLD = "at most 0.9 times the speed of unquantized weights on the same engine, whatever the engine"
LIMIT = 0.9
WORDS = ("torchao_int8", "torchao_int8_dynamic")


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per run."""
    for row in _rows(measurements):
        speedup = estimate(row, unit="times", note="the speed of unquantized weights")
        yield Finding(f"{run_name(row)} {speedup}", at_most(speedup, LIMIT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """Whether the bytes saved became time saved."""
    for row in _rows(measurements):
        yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _rows(measurements: pd.DataFrame) -> list[dict]:
    rows = using(gains(measurements), *WORDS)
    if rows.empty:
        raise NotMeasured("; ".join(statuses(using(measurements, *WORDS)).values()))
    return rows.to_dict("records")
