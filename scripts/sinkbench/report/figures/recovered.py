"""How much of the perplexity that a small budget costs a refreshed cache of that budget wins back."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import NotMeasured
from sinkbench.report.figures._labels import SIZE, label_ends
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import WIDTH_INCHES, log_axis, panels

TITLE = "RefreshLite: perplexity recovered by refreshes"
CATEGORY = "refresh"
CAPTION_FIELDS = ("confidence",)
CAPTION = (
    "Streaming loses perplexity between its full budget (100 %) and a smaller one (0 %). The figure shows "
    "the share of that loss that a refreshed cache (RefreshLite) of the smaller budget recovers, of each "
    "document. Below 0 a cache loses more than streaming. A refresh is named by policy and settings, "
    "whatever the budget. Every policy holds an equal number of tokens at a budget. Bars are {confidence} % "
    "intervals of the paired difference to streaming."
)
HEIGHT_INCHES = 2.0
NAMED = 8  # documents beyond which lines have no names
DOCUMENT_INCHES, FRAME_INCHES = 0.17, 0.75  # of a panel that has one budget


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel per corpus and variant, or per corpus where all have one budget."""
    rows = recovered(measurements)
    if rows.empty:
        raise NotMeasured("")
    if rows["budget"].nunique() == 1:
        return _one_budget(rows)
    several = rows["corpus"].nunique() > 1
    groups = list(rows.groupby(["corpus", "variant"], sort=False))
    figure, axes = panels([""] * len(groups), HEIGHT_INCHES)
    for axis, ((corpus, variant), part) in zip(axes, groups, strict=True):
        axis.set_title(f"{corpus}: {variant}" if several else variant, loc="left")
        _panel(axis, part)
    axes[-1].set_xlabel("Budget [tokens], against streaming")
    return figure


def _one_budget(rows: pd.DataFrame) -> Figure:
    """Documents below each other, refreshes by colour."""
    groups = dict(list(rows.groupby("corpus", sort=False)))
    heights = [FRAME_INCHES + DOCUMENT_INCHES * len(part) for part in groups.values()]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained")
    axes = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (corpus, part) in zip(axes, groups.items(), strict=True):
        _documents(axis, part)
        axis.set_title(f"{corpus}, {part['budget'].iloc[0]:,} tokens", loc="left")
    axes[-1].set_xlabel("Recovered [%]")
    shown = rows.drop_duplicates(["policy", "variant"]).to_dict("records")
    handles = list(map(_dot, shown))
    figure.legend(handles=handles, loc="outside upper left", frameon=False, fontsize=SIZE)
    return figure


def _documents(axes: Axes, rows: pd.DataFrame) -> None:
    names, variants = list(rows["document"].unique()), list(rows["variant"].unique())
    middle = (len(variants) - 1) / 2
    for row in rows.to_dict("records"):
        offset = (variants.index(row["variant"]) - middle) / (len(variants) + 1)
        height = names.index(row["document"]) + offset
        errors = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        style = {"color": colour(row["policy"]), "marker": "o", "markersize": 3.5, "elinewidth": 0.8}
        axes.errorbar(row["value"], height, xerr=errors, **style)
    for level in (0, 100):
        axes.axvline(level, color=GREY, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(names)), names, parse_math=False)  # a name may hold any sign
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def _dot(row: dict) -> Line2D:
    ink = colour(row["policy"])
    return Line2D([], [], label=row["variant"], color=ink, marker="o", markersize=4, linestyle="none")


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
