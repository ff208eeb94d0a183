"""Recall by distance: what is left of a passage once it has left the window."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.recall import recalled
from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import log_axis, panels, short_name, style_of

TITLE = "Recall: nats saved by an earlier occurrence"
CATEGORY = "streaming"
CAPTION_FIELDS = ("confidence", "passage_tokens")
CAPTION = (
    "A passage of {passage_tokens} tokens occurs again so many tokens later, between real text. The figure "
    "shows how many nats a token its first occurrence saves the repetition, against a control whose first "
    "occurrence is other text; 0 is what is forgotten. Vertical dotted lines, in the colour of their policy, "
    "are the windows of the caches that are drawn: at longer distances a query no longer sees what it would "
    "repeat. A cross on dense attention is a text longer than those of training. The axis of distances is "
    "logarithmic. Bars are {confidence} % intervals over passages. Dashed: without attention sinks."
)
HEIGHT_INCHES = 3.6


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    rows = recalled(measurements)
    figure, (axes,) = panels([""], HEIGHT_INCHES)
    ends = []
    for method, line in rows.groupby("method", sort=False):
        _line(axes, measurements, line)
        last = line.iloc[-1]
        ends.append((last["position"], last["value"], short_name(method, rows), text_colour(last["policy"])))
    for policy, window in rows[["policy", "window"]].dropna().drop_duplicates().itertuples(index=False):
        axes.axvline(window, color=colour(policy), linestyle=":", linewidth=1)
    axes.axhline(0, color=GREY, linestyle=":", linewidth=1)
    axes.set(xlabel="Distance to the first occurrence [tokens]", ylabel="Saved [nats per token]")
    log_axis(axes, "x", sorted({int(distance) for distance in rows["position"]}))
    label_ends(axes, ends, edge_from=0)
    return figure


def _line(axes: Axes, measurements: pd.DataFrame, line: pd.DataFrame) -> None:
    """One method's. An unbounded cache has markers only where the text is longer than those of training."""
    style = style_of(measurements, line.iloc[0].to_dict())
    ends = line[["low", "high"]].apply(lambda column: column.fillna(line["value"]))
    errors = [line["value"] - ends["low"], ends["high"] - line["value"]]
    marked = list((line["window"].notna() | ~line["is_trained"]).to_numpy().nonzero()[0])
    axes.errorbar(
        line["position"].astype(float), line["value"], yerr=errors, elinewidth=0.7, markevery=marked, **style
    )
