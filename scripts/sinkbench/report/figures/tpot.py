"""Time per token against context length or stream position."""

import pandas as pd
from matplotlib.figure import Figure

from sinkbench.analysis.select import pick
from sinkbench.report.figures._by_length import draw_growth
from sinkbench.report.figures._style import panels

TITLE = "Time per token along the stream"
CATEGORY = "streaming"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device")
CAPTION = (
    "Time per output token (TPOT) on {device}: dense attention by context length, caches of fixed size by "
    "stream position, recompute by its budget (a horizontal line: it does not depend on the position). "
    "Medians of {repetitions} repetitions of {steps} steps in steady state; bars are {confidence} % "
    "intervals. Of each policy the largest and the smallest budget, unquantized, on their fastest "
    "engine; both axes are logarithmic. Hollow and dashed: without attention sinks."
)
HEIGHT_INCHES = 4.2


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    pick(measurements, "tpot_ms")
    figure, (axes,) = panels([""], HEIGHT_INCHES)
    draw_growth(axes, measurements, "tpot_ms", "TPOT [ms per token]")
    return figure
