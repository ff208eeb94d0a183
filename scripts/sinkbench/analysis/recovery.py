"""How much of the perplexity that a small budget costs a refreshed cache of that budget wins back."""

import re

import pandas as pd

from sinkbench.analysis.select import full_budget, matching, method_of, usable

CHANGE = ("change", "change_low", "change_high")


def recovered(measurements: pd.DataFrame, pooled: bool = False) -> pd.DataFrame:
    """Percent recovered with its interval (value, low, high) by corpus, variant, document and budget.

    Of methods that are compared with streaming at their own budget, below the full one, where that budget
    costs perplexity. Their percent change against it is in change, change_low and change_high, and its
    interval is all that the share's is made from.

    Args:
        pooled: all documents of a corpus together, and not each.
    """
    rows = matching(usable(measurements), quantization="none")
    rows = rows[rows["document"].isna() == pooled]
    levels = _streaming(rows)
    changes = matching(rows, metric="perplexity_change", family="refresh")
    own = levels.rename(columns={"method": "against", "value": "small"}).drop(columns="budget")
    plain = method_of(measurements, "streaming", budget=full_budget(measurements))  # not in another dtype
    full = matching(levels, method=plain).rename(columns={"value": "full"})
    found = changes.merge(own, on=["corpus", "document", "against"])
    found = found.merge(full[["corpus", "document", "full"]], on=["corpus", "document"])
    found = found[found["against"] == found["budget"].map(_named(rows))]
    found = found[found["small"] > found["full"]]
    own = {name: found[end] for name, end in zip(CHANGE, ("value", "low", "high"), strict=True)}
    scale = -found["small"] / (found["small"] - found["full"])
    ends = {"value": found["value"] * scale, "low": found["high"] * scale, "high": found["low"] * scale}
    return found.assign(**own, **ends, variant=[_variant(row) for row in found.to_dict("records")])


def _streaming(rows: pd.DataFrame) -> pd.DataFrame:
    """Perplexity of streaming at each budget, on each document or on all."""
    levels = matching(rows, metric="perplexity", policy="streaming")
    return levels[["corpus", "document", "method", "budget", "value"]]


def _named(rows: pd.DataFrame) -> dict[int, str]:
    """The method of streaming at each budget."""
    budgets = matching(rows, policy="streaming")["budget"].dropna().unique()
    return {budget: method_of(rows, "streaming", budget=budget) for budget in budgets}


def _variant(row: dict) -> str:
    """A method's name without its budget: the policy, the chosen share of the budget, and the rest."""
    parts = re.fullmatch(r"\w+-\d+\+\d+(?:\+(\d+))?-(.*)", row["method"])
    share = f" {100 * int(parts[1]) / row['budget']:.0f} % chosen" if parts[1] else ""
    return f"{row['policy']}{share} {parts[2].replace('-', ' ')}"
