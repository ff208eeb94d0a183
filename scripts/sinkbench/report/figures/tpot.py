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
    "Time per output token (TPOT) on {device}: medians of {repetitions} repetitions of {steps} steps in "
    "steady state, bars: {confidence} % intervals. Dense attention is drawn by context length, and caches "
    "of fixed size by stream position. Recomputation is a horizontal line, since its time does not depend "
    "on the position. Of each policy the largest and the smallest budget, unquantized, on their fastest "
    "engine. Both axes are logarithmic. Hollow and dashed: without attention sinks."
)
HEIGHT_INCHES = 4.2


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    pick(measurements, "tpot_ms")
    figure, (axes,) = panels([""], HEIGHT_INCHES)
    draw_growth(axes, measurements, "tpot_ms", "TPOT [ms per token]")
    return figure
