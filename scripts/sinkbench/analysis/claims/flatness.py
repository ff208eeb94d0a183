"""Constant time per token: what a cache of fixed size promises."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import MEGA
from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.estimate import estimate, percent_change, ratio
from sinkbench.analysis.select import NotMeasured, fastest, full_budget, method_of, pick, run_name

TECHNIQUE = "StreamingLLM"
CLAIM = "Streaming's time per token does not grow with the stream"
EXPERIMENT = "The same run was timed at stream positions from the budget to the longest stream."
THRESHOLD = "at the full budget TPOT at the largest position at most 10 % above that at the smallest"
LIMIT_PERCENT = 10.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    first, last = _ends(measurements)
    note = f"at {last['position']:,} tokens against {first['position']:,}"
    change = percent_change(ratio(estimate(last), estimate(first)), note)
    yield Finding(f"{run_name(last)} {change}", at_most(change, LIMIT_PERCENT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What is held and read at both ends."""
    for metric, words in (("cache_bytes", "the cache holds"), ("bytes_per_step", "a step must read")):
        first, last = (
            pick(measurements, metric, method=end["method"], engine=end["engine"], position=end["position"])
            for end in _ends(measurements)
        )
        sizes = (f"{rows['value'].iloc[0] / MEGA:,.1f} MB" for rows in (first, last))
        yield f"{words} {' and '.join(sizes)}"


def _ends(measurements: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """TPOT of the fastest engine at the smallest and at the largest position."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    rows = pick(measurements, "tpot_ms", method=streaming)
    rows = rows[rows["engine"] == fastest(rows)["engine"]].sort_values("position")
    if len(rows) < 2:
        raise NotMeasured("")
    return rows.iloc[0], rows.iloc[-1]
