"""Streaming decodes in less than 20 ms a token."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import floor
from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.claims._runs import on_its_engine
from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.select import at_largest_point, fastest, full_budget, method_of, pick, run_name

TECHNIQUE = "Decode speed"
GPU_ONLY = True
CLAIM = "Streaming decodes in less than 20 ms a token"
EXPERIMENT = "Streaming at its full budget was decoded one token at a time in steady state, on every engine."
THRESHOLD = (
    "TPOT of the eager engine (launched kernel by kernel) at the full budget at most 20 ms; the fastest "
    "engine is shown beside it"
)
LIMIT_MS = 20.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """The eager engine decides; the fastest stands beside it."""
    eager, *others = _times(measurements)
    yield Finding(_sentence(eager), at_most(_tpot(eager), LIMIT_MS))
    yield from (Finding(f"the fastest engine: {_sentence(row)}") for row in others)


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """How much of each time its bytes need."""
    for row in _times(measurements):
        yield floor(measurements, run_name(row), row["position"])


def _times(measurements: pd.DataFrame) -> list[dict]:
    """TPOT at the full budget and the largest position: of the eager engine, and of the fastest other one."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    rows = pick(measurements, "tpot_ms", method=streaming)
    (eager,) = at_largest_point(on_its_engine(measurements, rows, streaming)).to_dict("records")
    best = fastest(rows)
    return [eager] if run_name(best) == run_name(eager) else [eager, best]


def _tpot(row: dict) -> Estimate:
    return estimate(row, unit="ms", note=f"on {row['device']}")


def _sentence(row: dict) -> str:
    return f"{run_name(row)} {_tpot(row)}"
