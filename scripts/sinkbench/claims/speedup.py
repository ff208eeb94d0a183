"""The brief's large speed-up at long contexts."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.cells import estimate
from sinkbench.claims import Finding, at_least
from sinkbench.readings import at_largest_point, fastest, full_budget, matching, method_of, pick, run_name

CLAIM = "Streaming is much faster than dense attention at long contexts"
THRESHOLD = (
    "at the full budget at least 2 times dense decoding's speed, at the largest length both were timed at"
)
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    engine = fastest(pick(measurements, "tpot_ms", method=streaming))["engine"]
    dense = matching(measurements, method=method_of(measurements, "dense")).to_dict("records")
    rows = pick(measurements, "speedup", method=streaming, engine=engine)
    for row in at_largest_point(rows[rows["against"].isin(map(run_name, dense))]).to_dict("records"):
        note = f"the speed of {row['against']} at {row['position']:,} tokens"
        speedup = estimate(row, unit="times", note=note)
        yield Finding(f"{run_name(row)} {speedup}", at_least(speedup, LIMIT))
