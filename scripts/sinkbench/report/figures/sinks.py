"""Where dense attention goes: the share of the first tokens by layer."""

import pandas as pd
from matplotlib.figure import Figure

from sinkbench.analysis.sinks import shares
from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import colour, text_colour
from sinkbench.report.figures._style import panels

TITLE = "Share of attention to the first tokens"
CATEGORY = "streaming"
CAPTION_FIELDS = ()
CAPTION = (
    "Share of dense attention that a query gives to the first 1, 2, 4 and 8 tokens of a text, by layer. "
    "Lines are medians over the heads of a layer. The band, of the first token alone, is from the head with "
    "the least to the head with the most. Each share is a mean over the queries of a text's second half, and "
    "over documents."
)
HEIGHT_INCHES = 3.2
POLICY = "dense"


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    rows = shares(measurements)
    figure, (axes,) = panels([""], HEIGHT_INCHES)
    ends, firsts = [], sorted(rows["position"].unique())
    for rank, (first, line) in enumerate(rows.groupby("position")):
        layers = line["layer"].astype(float)
        if first == firsts[0]:
            band = (100 * line["least"], 100 * line["most"])
            axes.fill_between(layers, *band, color=colour(POLICY), alpha=0.15, linewidth=0)
        axes.plot(layers, 100 * line["median"], color=colour(POLICY), marker="os^D"[rank % 4], markersize=4)
        name = "first token" if first == 1 else f"first {first}"
        ends.append((layers.iloc[-1], 100 * line["median"].iloc[-1], name, text_colour(POLICY)))
    axes.set(xlabel="Layer", ylabel="Share of attention [%]")
    axes.set_ylim(0, 100)
    axes.xaxis.get_major_locator().set_params(integer=True)
    label_ends(axes, ends, edge_from=0)
    return figure
