"""The paper's speed-up: streaming against sliding window with re-computation (22.2 times on its hardware)."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time
from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.select import (
    at_largest_point,
    fastest,
    full_budget,
    matching,
    method_of,
    pick,
    run_name,
)

TECHNIQUE = "StreamingLLM"
CLAIM = "Streaming is much faster than recomputing the window for every token"
EXPERIMENT = "Streaming on its fastest engine was timed beside a fresh pass over the window for every token."
THRESHOLD = (
    "at the full budget at least 2 times the speed of recomputation without sinks (the paper: up to 22.2)"
)
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    for row in _deciding(measurements):
        speedup = estimate(row, unit="times", note=f"the speed of {row['against']}")
        yield Finding(f"{run_name(row)} {speedup}", at_least(speedup, LIMIT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What a step of both must read: the bytes are near, so the difference is what is computed."""
    for row in _deciding(measurements):
        yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _deciding(measurements: pd.DataFrame) -> list[dict]:
    """The speed-up that decides."""
    budget = full_budget(measurements)
    streaming = method_of(measurements, "streaming", budget=budget)
    engine = fastest(pick(measurements, "tpot_ms", method=streaming))["engine"]
    paper = matching(measurements, method=method_of(measurements, "recompute", budget=budget, sinks=0))
    rows = pick(measurements, "speedup", method=streaming, engine=engine)
    against = set(map(run_name, paper.to_dict("records")))
    return at_largest_point(rows[rows["against"].isin(against)]).to_dict("records")
