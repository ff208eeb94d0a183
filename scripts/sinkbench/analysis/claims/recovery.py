"""What a refresh can be had for: text that copies from afar gains, and other text pays nothing."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_least, at_most
from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import NotMeasured, matching, usable

TECHNIQUE = "RefreshLite"
CLAIM = "A refresh wins back perplexity where text copies from afar, and loses none elsewhere"
EXPERIMENT = (
    "Refreshed caches and streaming at the same budget scored the same positions of several corpora; of the "
    "caches that lose no more than the limit anywhere, the one that recovers most on one corpus decides."
)
THRESHOLD = (
    "one refreshed cache recovers at least 25 % of the perplexity between streaming at its budget and at the "
    "full one on the corpus where it recovers most, and is at most 0.5 % above streaming on every other"
)
LEAST_PERCENT, LIMIT_PERCENT = 25.0, 0.5


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """What the deciding cache recovers, and what it changes on each other corpus."""
    first, *others = _best(measurements)
    share = _share(first)
    yield Finding(_sentence(first), at_least(share, LEAST_PERCENT))
    for row in others:
        yield Finding(_sentence(row), at_most(_change(row), LIMIT_PERCENT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """How soon the choice is stale: the change right after a refresh, and before the next."""
    first = _best(measurements)[0]
    where = {"method": first["method"], "corpus": first["corpus"], "against": first["against"]}
    phases = matching(usable(measurements), metric="perplexity_change_phase", **where).sort_values("position")
    if len(phases) > 1:
        ends = (estimate(phases.iloc[end], "+z.2f", unit="%") for end in (0, -1))
        yield f"on {first['corpus']} {' right after a refresh, '.join(map(str, ends))} before the next"


def _best(measurements: pd.DataFrame) -> list[dict]:
    """The rows of the deciding cache, one a corpus, from where it recovers most."""
    rows = recovered(measurements, pooled=True).sort_values("value", ascending=False, kind="stable")
    caches = [part.to_dict("records") for _, part in rows.groupby("method", sort=False)]
    several = [part for part in caches if len(part) > 1]
    if not several:
        raise NotMeasured("")
    return max(several, key=lambda part: (_spares(part), part[0]["value"]))


def _spares(rows: list[dict]) -> bool:
    """Whether no corpus but the first loses more than the limit."""
    return all(row["change"] <= LIMIT_PERCENT for row in rows[1:])


def _share(row: dict) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"], ".0f", unit="%")


def _change(row: dict) -> Estimate:
    return Estimate(row["change"], row["change_low"], row["change_high"], "+z.2f", unit="%")


def _sentence(row: dict) -> str:
    return (
        f"{row['method']} recovers {_share(row)} on {row['corpus']}, where it is {_change(row)} against "
        f"{row['against']}"
    )
