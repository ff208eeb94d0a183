"""Constant time per token: what a cache of fixed size promises."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.cells import estimate, percent_change, ratio
from sinkbench.claims import Finding, at_most
from sinkbench.readings import NotMeasured, fastest, full_budget, method_of, pick, run_name

CLAIM = "Streaming's time per token does not grow with the stream"
THRESHOLD = "at the full budget TPOT at the largest position at most 10 % above that at the smallest"
LIMIT_PERCENT = 10.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    rows = pick(measurements, "tpot_ms", method=streaming)
    rows = rows[rows["engine"] == fastest(rows)["engine"]].sort_values("position")
    if len(rows) < 2:
        raise NotMeasured("")
    first, last = rows.iloc[0], rows.iloc[-1]
    note = f"at {last['position']:,} tokens against {first['position']:,}"
    change = percent_change(ratio(estimate(last), estimate(first)), note)
    yield Finding(f"{run_name(last)} {change}", at_most(change, LIMIT_PERCENT))
