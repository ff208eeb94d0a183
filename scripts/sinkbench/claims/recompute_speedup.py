"""The paper's speed-up: streaming against sliding window with re-computation (22.2 times on its hardware)."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.cells import estimate
from sinkbench.claims import Finding, at_least
from sinkbench.readings import at_largest_point, fastest, full_budget, matching, method_of, pick, run_name

CLAIM = "Streaming is much faster than recomputing the window for every token"
THRESHOLD = (
    "at the full budget at least 2 times the speed of recomputation without sinks (the paper: up to 22.2)"
)
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    budget = full_budget(measurements)
    streaming = method_of(measurements, "streaming", budget=budget)
    engine = fastest(pick(measurements, "tpot_ms", method=streaming))["engine"]
    paper = matching(measurements, method=method_of(measurements, "recompute", budget=budget, sinks=0))
    rows = pick(measurements, "speedup", method=streaming, engine=engine)
    against = set(map(run_name, paper.to_dict("records")))
    for row in at_largest_point(rows[rows["against"].isin(against)]).to_dict("records"):
        speedup = estimate(row, unit="times", note=f"the speed of {row['against']}")
        yield Finding(f"{run_name(row)} {speedup}", at_least(speedup, LIMIT))
