"""Streaming decodes in less than 20 ms a token."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import floor
from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.select import fastest, full_budget, method_of, pick, run_name

TECHNIQUE = "Decode speed"
GPU_ONLY = True
CLAIM = "Streaming decodes in less than 20 ms a token"
EXPERIMENT = "Streaming at its full budget was decoded one token at a time in steady state, on every engine."
THRESHOLD = "TPOT at the full budget at most 20 ms"
LIMIT_MS = 20.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    row = _deciding(measurements)
    tpot = estimate(row, unit="ms", note=f"on {row['device']}")
    yield Finding(f"{run_name(row)} {tpot}", at_most(tpot, LIMIT_MS))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """How much of the time its bytes need."""
    row = _deciding(measurements)
    yield floor(measurements, run_name(row), row["position"])


def _deciding(measurements: pd.DataFrame) -> dict:
    """TPOT of the fastest engine at the full budget."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    return fastest(pick(measurements, "tpot_ms", method=streaming))
