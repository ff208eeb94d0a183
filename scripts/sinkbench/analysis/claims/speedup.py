"""Streaming is much faster than dense attention at long contexts."""

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
    single_stream,
)

TECHNIQUE = "StreamingLLM"
CLAIM = "Streaming is much faster than dense attention at long contexts"
EXPERIMENT = "Streaming and dense attention were decoded at the same length of text."
THRESHOLD = (
    "at the full budget at least 2 times dense decoding's speed, at the largest length both were timed at; "
    "on the same engine where one decoded both, so that no speed-up of an engine passes for one of the policy"
)
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget, of those that decoded both if any did."""
    for row in _deciding(measurements):
        note = f"the speed of {row['against']} at {row['position']:,} tokens"
        speedup = estimate(row, unit="times", note=note)
        yield Finding(f"{run_name(row)} {speedup}", at_least(speedup, LIMIT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What a step of both must read."""
    for row in _deciding(measurements):
        yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _deciding(measurements: pd.DataFrame) -> list[dict]:
    """The speed-up that decides."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    dense = matching(measurements, method=method_of(measurements, "dense"))
    engines = {run_name(row): row["engine"] for row in single_stream(dense).to_dict("records")}
    rows = pick(measurements, "speedup", method=streaming)
    rows = rows[rows["against"].isin(engines)]
    same = rows[rows["engine"] == rows["against"].map(engines)]
    rows = rows[rows["against"].isin(rows["against"].head(1))] if same.empty else same  # the first named one
    times = pick(measurements, "tpot_ms", method=streaming)
    engine = fastest(times[times["engine"].isin(rows["engine"])])["engine"] if len(rows) else None
    return at_largest_point(matching(rows, engine=engine)).to_dict("records")
