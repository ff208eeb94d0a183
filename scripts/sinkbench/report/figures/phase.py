"""Where in a segment a refresh helps: change of perplexity by the number of tokens since the refresh."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.select import corpora, matching, pick
from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import log_axis, panels, short_name

TITLE = "RefreshLite: perplexity since the last refresh"
CATEGORY = "refresh"
CAPTION_FIELDS = ("confidence",)
CAPTION = (
    "Change of perplexity of refreshed (RefreshLite) and lazily pruned caches against streaming with as "
    "many tokens, by the number of tokens that were read since the last refresh or prune. The predicting "
    "token is included, so 1 is the first query after a refresh. Where a segment is long, a point is a "
    "group of tokens, at its first; the axis is logarithmic. All documents are pooled; bars are "
    "{confidence} % intervals over blocks."
)
HEIGHT_INCHES = 3.2


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel per corpus."""
    rows = pick(measurements, "perplexity_change_phase", quantization="none")
    names = corpora(rows)
    figure, axes = panels(names, HEIGHT_INCHES)
    for axis, corpus in zip(axes, names, strict=True):
        _panel(axis, matching(rows, corpus=corpus))
    return figure


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    ends = []
    for method, line in rows.groupby("method", sort=False):
        line, policy = line.sort_values("position"), line["policy"].iloc[0]
        since, value = line["position"].astype(float) + 1, line["value"]
        errors = [value - line["low"], line["high"] - value]
        axes.errorbar(
            since, value, yerr=errors, color=colour(policy), marker="o", markersize=3, elinewidth=0.7
        )
        ends.append((since.iloc[-1], value.iloc[-1], short_name(method, rows), text_colour(policy)))
    axes.axhline(0, color=GREY, linestyle=":", linewidth=1)
    axes.set(xlabel="Tokens since the refresh", ylabel="Change of perplexity [%]")
    log_axis(axes, "x", sorted(set(rows["position"] + 1)))
    label_ends(axes, ends, edge_from=0)
