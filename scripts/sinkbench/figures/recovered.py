"""How much of the perplexity that a small budget costs a refreshed cache of that budget wins back."""

import re

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.drawing import log_axis, panels
from sinkbench.labels import label_ends
from sinkbench.palette import GREY, colour, text_colour
from sinkbench.readings import NotMeasured, full_budget, matching, method_of, usable

TITLE = "Perplexity recovered by refreshes"
CATEGORY = "refresh"
WORDS = ("confidence",)
CAPTION = (
    "Of the perplexity that streaming loses between its full budget (100 %) and a smaller one (0 %), the "
    "share that a cache of the smaller budget recovers, of each document; below 0 it loses more. One "
    "panel for each refresh, by policy and settings, whatever the budget. Every policy holds the same "
    "number of tokens at a budget. Bars: {confidence} % intervals of the paired "
    "difference to streaming."
)
HEIGHT_INCHES = 2.3
NAMED = 8  # documents beyond which lines have no names


def draw(measurements: pd.DataFrame, words: dict) -> Figure:
    """See CAPTION; one panel per corpus and variant."""
    rows = recovered(measurements)
    if rows.empty:
        raise NotMeasured("")
    several = rows["corpus"].nunique() > 1
    groups = list(rows.groupby(["corpus", "variant"], sort=False))
    figure, axes = panels([""] * len(groups), HEIGHT_INCHES)
    for axis, ((corpus, variant), part) in zip(axes, groups, strict=True):
        axis.set_title(f"{corpus}: {variant}" if several else variant, loc="left")
        _panel(axis, part)
    axes[-1].set_xlabel("Budget [tokens], against streaming")
    return figure


def recovered(measurements: pd.DataFrame) -> pd.DataFrame:
    """Percent recovered with its interval (value, low, high) by corpus, variant, document and budget.

    Of methods that are compared with streaming at their own budget, below the full one.
    """
    rows = matching(usable(measurements), quantization="none")
    levels = _streaming(rows)
    changes = matching(rows, metric="perplexity_change", family="refresh").dropna(subset=["document"])
    own = levels.rename(columns={"method": "against", "value": "small"}).drop(columns="budget")
    full = matching(levels, budget=full_budget(measurements)).rename(columns={"value": "full"})
    found = changes.merge(own, on=["corpus", "document", "against"])
    found = found.merge(full[["corpus", "document", "full"]], on=["corpus", "document"])
    found = found[found["against"] == found["budget"].map(_named(rows))]
    found = found[found["small"] > found["full"]]
    scale = -found["small"] / (found["small"] - found["full"])
    ends = {"value": found["value"] * scale, "low": found["high"] * scale, "high": found["low"] * scale}
    return found.assign(**ends, variant=[_variant(row) for row in found.to_dict("records")])


def _streaming(rows: pd.DataFrame) -> pd.DataFrame:
    """Perplexity of streaming on each document, at each budget."""
    levels = matching(rows, metric="perplexity", policy="streaming").dropna(subset=["document"])
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


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    ends = []
    for document, line in rows.groupby("document", sort=False):
        line = line.sort_values("budget")
        value, policy = line["value"], line["policy"].iloc[0]
        errors = [value - line["low"], line["high"] - value]
        style = {"color": colour(policy), "marker": "o", "markersize": 3, "elinewidth": 0.6}
        axes.errorbar(line["budget"], value, yerr=errors, **style)
        ends.append((line["budget"].iloc[-1], value.iloc[-1], document, text_colour(policy)))
    for level in (0, 100):
        axes.axhline(level, color=GREY, linestyle=":", linewidth=1)
    axes.set_ylabel("Recovered [%]")
    log_axis(axes, "x", sorted(set(rows["budget"])))
    if len(ends) <= NAMED:
        label_ends(axes, ends, edge_from=0)
