"""How much of the perplexity that a small budget costs a refreshed cache of that budget wins back."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import NotMeasured
from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import log_axis, panels

TITLE = "Perplexity recovered by refreshes"
CATEGORY = "refresh"
CAPTION_FIELDS = ("confidence",)
CAPTION = (
    "Of the perplexity that streaming loses between its full budget (100 %) and a smaller one (0 %), the "
    "share that a cache of the smaller budget recovers, of each document; below 0 it loses more. One "
    "panel for each refresh, by policy and settings, whatever the budget. Every policy holds the same "
    "number of tokens at a budget. Bars: {confidence} % intervals of the paired "
    "difference to streaming."
)
HEIGHT_INCHES = 2.3
NAMED = 8  # documents beyond which lines have no names


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
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
