"""Int8 weights make single-token decoding slower."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time
from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.claims._runs import beside, failed
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import gains, using
from sinkbench.analysis.select import NotMeasured, run_name

TECHNIQUE = "Quantization"
GPU_ONLY = True
CLAIM = "Int8 weights slow single-token decoding substantially"
EXPERIMENT = (
    "Int8 of all layers was decoded on every engine beside the same cache with unquantized weights: "
    "TorchAO's (weight-only, and with dynamic activations) and this study's own."
)
THRESHOLD = (
    "at most 0.9 times the speed of unquantized weights on the same engine, in every int8 format and on "
    "every engine that runs it here"
)
LIMIT = 0.9
WORDS = ("torchao_int8", "torchao_int8_dynamic", "int8")


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per run; those that cannot be made here stand beside."""
    for row in _rows(measurements):
        speedup = estimate(row, unit="times", note="the speed of unquantized weights")
        yield Finding(f"{run_name(row)} {speedup}", at_most(speedup, LIMIT))
    yield from beside(using(measurements, *WORDS))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """Whether the bytes saved became time saved."""
    for row in _rows(measurements):
        yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _rows(measurements: pd.DataFrame) -> list[dict]:
    rows = using(gains(measurements), *WORDS)
    if rows.empty:
        raise NotMeasured("; ".join(failed(using(measurements, *WORDS)).values()))
    return rows.sort_values("quantization", key=lambda words: words.map(WORDS.index), kind="stable").to_dict(
        "records"
    )
