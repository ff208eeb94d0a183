"""RefreshLite: refreshes hold the perplexity of smaller windows."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import PLAIN, pooled
from sinkbench.analysis.select import NotMeasured, corpora, full_budget, matching, method_of, usable
from sinkbench.analysis.tradeoff import paired_change

TECHNIQUE = "RefreshLite"
CLAIM = "RefreshLite stabilises the perplexity of smaller windows"
EXPERIMENT = (
    "Caches of a small budget that are chosen or computed anew every few tokens scored the same positions as "
    "streaming at that budget and at the full one; the one with the lowest perplexity decides."
)
THRESHOLD = "the best refreshed cache below the full budget at most 4 % above streaming at the full budget"
LIMIT_PERCENT = 4.0
CONTROL = "lazy"  # of the family, but no refresh


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus."""
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    for corpus in corpora(measurements, family="refresh"):
        row = _best(measurements, corpus, full)
        change = paired_change(measurements, corpus, row["method"], full)
        own = f"{estimate(row, '+z.2f', unit='%')} against {row['against']}"
        yield Finding(f"{row['method']} {change}, {own}", at_most(change, LIMIT_PERCENT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """Whether the gain wears off between two refreshes."""
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    for corpus in corpora(measurements, family="refresh"):
        method = _best(measurements, corpus, full)["method"]
        rows = matching(usable(measurements), metric="perplexity_change_phase", method=method, corpus=corpus)
        rows = rows.sort_values("position")
        if len(rows) > 1:
            first, last = (estimate(rows.iloc[end].to_dict(), "+z.2f", unit="%") for end in (0, -1))
            yield f"on {corpus} {method}: {first} right after a refresh, {last} before the next"


def _best(measurements: pd.DataFrame, corpus: str, full: str) -> dict:
    """The change, against what it is compared with, of the refreshed method that is best against `full`."""
    rows = matching(pooled(usable(measurements), corpus, "perplexity_change"), family="refresh")
    rows = rows[(rows["policy"] != CONTROL) & (rows["quantization"] == PLAIN)]
    rows = rows[rows["budget"] < full_budget(measurements)]
    if rows.empty:
        raise NotMeasured("")
    changes = [paired_change(measurements, corpus, name, full).value for name in rows["method"]]
    return rows.assign(total=changes).sort_values("total", kind="stable").iloc[0].to_dict()
