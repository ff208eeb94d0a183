"""One row per refreshed cache: what it recovers on each corpus, and what that costs."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import at_largest_point, matching, usable, with_fastest_engines

TITLE = "RefreshLite: perplexity recovered, and its cost"
CATEGORY = "refresh"
CAPTION_FIELDS = ("confidence",)
CAPTION = (
    "RefreshLite: small caches that are chosen or computed anew every few tokens, and lazy pruning as their "
    "control. Names are sinks + recent + chosen tokens, r the tokens from one refresh to the next, h the "
    "tokens looked back on. select: q queries choose, p neighbours are pooled. repeat_lookup: m tokens must "
    "repeat, s tokens after a repetition are kept, b is the number of places where one may end. Change is "
    "that of perplexity against streaming at an equal number of tokens, all documents pooled. Recovered is "
    "the change as a share of what streaming loses between its full budget and this one. Store is memory "
    "kept for refreshes that no step reads. Steps are those of the fastest engine at its largest timed "
    "position. Where r is below 100, the 99th percentile is a step with a refresh. Brackets are "
    "{confidence} % intervals over blocks of tokens."
)
MEBI = 2**-20
# heading, metric, format, scale
COSTS = (
    ("Store [MiB]", "store_bytes", ",.1f", MEBI),
    ("Median step [ms]", "step_p50_ms", ".3f", 1),
    ("99th percentile [ms]", "step_p99_ms", ".3f", 1),
    ("Floor [ms]", "floor_ms", ".3f", 1),
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION; in the study's order."""
    shares = recovered(measurements, pooled=True)
    timed = with_fastest_engines(usable(measurements))
    methods = matching(measurements, family="refresh")["method"].unique()
    return without_empty_columns(pd.DataFrame([_row(shares, timed, method) for method in methods]))


def _row(shares: pd.DataFrame, timed: pd.DataFrame, method: str) -> dict:
    row = {"Cache": method}
    for corpus in shares["corpus"].unique():
        own = matching(shares, method=method, corpus=corpus).to_dict("records")
        row[f"Change on {corpus} [%]"] = next(map(_change, own), "")
        row[f"Recovered on {corpus} [%]"] = next(map(_share, own), "")
    return row | {heading: _cost(timed, method, *how) for heading, *how in COSTS}


def _change(row: dict) -> Estimate:
    return Estimate(
        row["change"], row["change_low"], row["change_high"], "+z.2f", f"against {row['against']}"
    )


def _share(row: dict) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"], ".0f")


def _cost(timed: pd.DataFrame, method: str, metric: str, spec: str, scale: float) -> Estimate | str:
    rows = at_largest_point(matching(timed, method=method, metric=metric))
    return "" if rows.empty else estimate(rows.iloc[0].to_dict(), spec, scale)
