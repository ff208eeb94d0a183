"""Perplexity along the stream: dense attention explodes beyond the trained length, streaming does not."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.drawing import GREY, colour, label, lines, log_axis, look, panels
from sinkbench.labels import label_ends
from sinkbench.readings import corpora, full_budget, matching, pick

TITLE = "Perplexity by position in the text"
WORDS = ("confidence", "position_bin")
CAPTION = (
    "Perplexity of the tokens in bins of {position_bin} positions, all documents pooled, at the middle of each bin; "
    "both axes are logarithmic. Of each policy the largest and the smallest budget. Bands: {confidence} % bootstrap "
    "intervals. The vertical line is streaming's full budget, which the study sets to the model's trained length. "
    "Methods that score only a sample of the positions are left out. Dashed: without attention sinks."
)
HEIGHT_INCHES = 3.8


def draw(measurements: pd.DataFrame, words: dict) -> Figure:
    """See CAPTION; one panel per corpus."""
    pick(measurements, "perplexity_bin")
    names = corpora(measurements)
    figure, axes = panels(names, HEIGHT_INCHES)
    for axis, corpus in zip(axes, names, strict=True):
        _panel(axis, measurements, corpus, words["position_bin"])
    return figure


def _panel(axes: Axes, measurements: pd.DataFrame, corpus: str, width: int) -> None:
    ends = []
    for row, line in lines(_shown(matching(measurements, corpus=corpus)), "perplexity_bin"):
        middle, style = line["position"] + width / 2, look(measurements, row)
        axes.plot(middle, line["value"], **{**style, "marker": None}, linewidth=1)
        axes.fill_between(middle, line["low"], line["high"], color=style["color"], alpha=0.15, linewidth=0)
        ends.append((line["value"].iloc[-1], label(row, measurements), colour(row["policy"])))
    axes.axvline(full_budget(measurements), color=GREY, linestyle=":", linewidth=1)
    axes.set(xlabel="Position in the text [tokens]", ylabel="Perplexity")
    log_axis(axes, "x")
    log_axis(axes, "y")
    label_ends(axes, ends)


def _shown(measurements: pd.DataFrame) -> pd.DataFrame:
    """Methods that score every position of a bin, and of each policy those of extreme budget."""
    bins = matching(measurements, metric="perplexity_bin")
    complete = bins[bins["n"] == bins.groupby("position")["n"].transform("max")]
    budgets = complete.groupby("policy")["budget"]
    extreme = (complete["budget"] == budgets.transform("max")) | (complete["budget"] == budgets.transform("min"))
    return complete[extreme.fillna(True)]
