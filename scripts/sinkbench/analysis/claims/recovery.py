"""What a refresh can be had for: text that copies from afar gains, and other text pays nothing."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_least, at_most
from sinkbench.analysis.claims._candidates import Candidate, best_candidate, finding
from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import NotMeasured, matching, usable

TECHNIQUE = "RefreshLite"
CLAIM = "A refresh wins back perplexity where text copies from afar, and loses none elsewhere"
EXPERIMENT = (
    "Refreshed caches and streaming at the same budget scored the same positions of several corpora. The "
    "best cache decides, and the same one on every corpus."
)
THRESHOLD = (
    "one refreshed cache recovers at least 25 % of the perplexity between streaming at its budget and at the "
    "full one on the corpus where it recovers most, and is at most 0.5 % above streaming on every other"
)
LEAST_PERCENT, LIMIT_PERCENT = 25.0, 0.5


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: what the best cache recovers, and what it changes on each other corpus."""
    yield finding([_candidate(rows) for rows in _caches(measurements)], "caches")


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """How soon the choice is stale: the change right after a refresh, and before the next."""
    caches = {rows[0]["method"]: rows for rows in _caches(measurements)}
    first = caches[best_candidate([_candidate(rows) for rows in caches.values()]).method][0]
    where = {"method": first["method"], "corpus": first["corpus"], "against": first["against"]}
    phases = matching(usable(measurements), metric="perplexity_change_phase", **where).sort_values("position")
    if len(phases) > 1:
        ends = (estimate(phases.iloc[end], "+z.2f", unit="%") for end in (0, -1))
        yield f"on {first['corpus']} {' right after a refresh, '.join(map(str, ends))} before the next"


def _caches(measurements: pd.DataFrame) -> list[list[dict]]:
    """The rows of each cache, one a corpus, from where it recovers most; NotMeasured on one corpus alone."""
    rows = recovered(measurements, pooled=True).sort_values("value", ascending=False, kind="stable")
    caches = [part.to_dict("records") for _, part in rows.groupby("method", sort=False)]
    several = [part for part in caches if len(part) > 1]
    if not several:
        raise NotMeasured("")
    return several


def _candidate(rows: list[dict]) -> Candidate:
    first, *others = rows
    verdicts = (
        at_least(_share(first), LEAST_PERCENT),
        *(at_most(_change(row), LIMIT_PERCENT) for row in others),
    )
    return Candidate(first["method"], " and ".join(map(_sentence, rows)), verdicts, -first["value"])


def _share(row: dict) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"], ".0f", unit="%")


def _change(row: dict) -> Estimate:
    return Estimate(row["change"], row["change_low"], row["change_high"], "+z.2f", unit="%")


def _sentence(row: dict) -> str:
    share, change = _share(row), _change(row)
    return f"{share} recovered on {row['corpus']}, where it is {change} against {row['against']}"
