"""Perplexity along the stream: dense attention explodes beyond the trained length, streaming does not."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.select import corpora, full_budget, matching, method_of, pick
from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import GREY, text_colour
from sinkbench.report.figures._style import label, lines_of_runs, log_axis, panels, style_of

TITLE = "Perplexity by position in the text"
CATEGORY = "baselines"
CAPTION_FIELDS = ("confidence", "position_bin")
CAPTION = (
    "Perplexity of the tokens in bins of {position_bin} positions, at the middle of each bin. A bin pools "
    "the documents that reach it: late bins hold fewer documents than early ones, so a step may be another "
    "choice of texts. Both axes are logarithmic. Of each policy the largest and the smallest budget, "
    "unquantized. Bands are {confidence} % intervals of dense attention and of streaming at its full budget; "
    "a bin of one document within one block has none. The vertical line is that budget, which a study sets "
    "to the model's trained length. Methods that score only a sample of the positions are left out. Dashed: "
    "without attention sinks."
)
HEIGHT_INCHES = 3.8


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel per corpus."""
    pick(measurements, "perplexity_bin")
    names = corpora(measurements)
    figure, axes = panels(names, HEIGHT_INCHES)
    for axis, corpus in zip(axes, names, strict=True):
        _panel(axis, measurements, corpus, fields["position_bin"])
    return figure


def _panel(axes: Axes, measurements: pd.DataFrame, corpus: str, width: int) -> None:
    ends = []
    for row, line in lines_of_runs(_complete(matching(measurements, corpus=corpus)), "perplexity_bin"):
        middle, style = line["position"] + width / 2, style_of(measurements, row)
        axes.plot(middle, line["value"], **{**style, "marker": None}, linewidth=1)
        if row["method"] in _banded(measurements):
            axes.fill_between(
                middle, line["low"], line["high"], color=style["color"], alpha=0.15, linewidth=0
            )
        ends.append(
            (middle.iloc[-1], line["value"].iloc[-1], label(row, measurements), text_colour(row["policy"]))
        )
    axes.axvline(full_budget(measurements), color=GREY, linestyle=":", linewidth=1)
    axes.set(xlabel="Position in the text [tokens]", ylabel="Perplexity")
    log_axis(axes, "x")
    log_axis(axes, "y")
    label_ends(axes, ends)


def _banded(measurements: pd.DataFrame) -> set[str]:
    """Dense, and streaming at the full budget: more bands than these would hide each other."""
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    return {full, *measurements[measurements["budget"].isna()]["method"]}


def _complete(measurements: pd.DataFrame) -> pd.DataFrame:
    """Bins of the methods that score every position of them."""
    bins = matching(measurements, metric="perplexity_bin")
    return bins[bins["n"] == bins.groupby("position")["n"].transform("max")]
