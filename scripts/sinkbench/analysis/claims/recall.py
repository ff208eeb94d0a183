"""What perplexity hides: a cache that streams no longer knows what left its window."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import UNDECIDED, Finding, at_most, worst
from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.recall import OUTSIDE, recalled
from sinkbench.analysis.select import NotMeasured, matching, method_of

TECHNIQUE = "StreamingLLM"
CLAIM = "Streaming forgets what left its window"
EXPERIMENT = (
    "A passage occurred again, and each method scored its repetition with and without the first occurrence. "
    "The share compares with dense attention, at the longest distance within the trained length."
)
THRESHOLD = (
    "at every distance beyond its window a passage saves its repetition at most 10 % of what it saves with "
    "dense attention within the trained length"
)
LIMIT_PERCENT = 10.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per streaming cache, of the distance that decides; undecided if dense attention saves nothing."""
    rows = recalled(measurements)
    dense = matching(rows, method=method_of(rows, "dense"), is_trained=True)
    lost = matching(rows, policy="streaming", seen=OUTSIDE)
    if dense.empty or lost.empty:
        raise NotMeasured("")
    far = dense.iloc[-1].to_dict()
    whole = estimate(far, "z.3f", unit="nats")
    beside = f"{whole} a token that dense attention saves at {far['position']:,} tokens"
    for method, distances in lost.groupby("method", sort=False):
        row, verdict = _deciding(distances.to_dict("records"), whole)
        saved = estimate(row, "z.3f", unit="nats")
        said = f"{method} saves {saved} a token at {row['position']:,} tokens"
        share = "" if min(whole.bounds) <= 0 else f"{percent_of(estimate(row), whole)} of the "
        yield Finding(f"{said}, {share or 'beside '}{beside}", verdict)


def _deciding(rows: list[dict], whole: Estimate) -> tuple[dict, str]:
    """Of all distances the one with the worst verdict, of equal ones that which saves most; its verdict."""
    verdicts = [_verdict(row, whole) for row in rows]
    found = worst(verdicts)
    equal = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict == found]
    return max(equal, key=lambda row: row["value"]), found


def _verdict(row: dict, whole: Estimate) -> str:
    if min(whole.bounds) <= 0:
        return UNDECIDED
    return at_most(percent_of(estimate(row), whole), LIMIT_PERCENT)


def percent_of(part: Estimate, whole: Estimate) -> Estimate:
    """A share in percent, of either sign, of a positive number; the interval joins the far ends of both."""
    value, ends = 100 * part.value / whole.value, (None, None)
    if part.interval and whole.interval:
        shares = [100 * one / other for one in part.bounds for other in whole.bounds]
        ends = min(shares), max(shares)
    return Estimate(value, *ends, spec="z.1f", unit="%")
