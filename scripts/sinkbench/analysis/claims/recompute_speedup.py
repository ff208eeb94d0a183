"""The paper's speed-up: streaming against sliding window with re-computation (22.2 times on its hardware)."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time, floor
from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.claims._runs import on_its_engine
from sinkbench.analysis.estimate import Estimate, estimate
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
EXPERIMENT = (
    "Streaming was timed beside a fresh pass over the window for every token, in transformers. Arithmetic "
    "bounds such a pass. Launches or bytes bound a decode step, so that a faster engine gains there alone."
)
THRESHOLD = (
    "on the eager engine (launched kernel by kernel, as the pass is) and at the full budget at least 2 times "
    "the speed of recomputation without sinks (the paper: up to 22.2); the fastest engine is shown beside it"
)
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """The eager engine decides; the fastest stands beside it."""
    eager, *others = _speedups(measurements)
    yield Finding(_sentence(eager), at_least(_speedup(eager), LIMIT))
    yield from (Finding(f"the fastest engine: {_sentence(row)}") for row in others)


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What a step of both must read, and how little of a pass's time its bytes need."""
    eager, *_ = _speedups(measurements)
    yield from bytes_and_time(measurements, run_name(eager), eager["against"], eager["position"])
    yield floor(measurements, eager["against"], eager["position"])


def _speedups(measurements: pd.DataFrame) -> list[dict]:
    """At the largest position: the eager engine's, and that of the fastest other one."""
    budget = full_budget(measurements)
    streaming = method_of(measurements, "streaming", budget=budget)
    times = pick(measurements, "tpot_ms", method=streaming)
    paper = matching(measurements, method=method_of(measurements, "recompute", budget=budget, sinks=0))
    rows = pick(measurements, "speedup", method=streaming)
    rows = at_largest_point(rows[rows["against"].isin(set(map(run_name, paper.to_dict("records"))))])
    (eager,) = on_its_engine(measurements, rows, streaming).to_dict("records")
    best = fastest(times[times["engine"].isin(rows["engine"])])["engine"]
    return [eager, *matching(rows[rows["engine"] != eager["engine"]], engine=best).to_dict("records")]


def _speedup(row: dict) -> Estimate:
    return estimate(row, unit="times", note=f"the speed of {row['against']}")


def _sentence(row: dict) -> str:
    return f"{run_name(row)} {_speedup(row)}"
