"""Memory against context length or stream position."""

import pandas as pd
from matplotlib.figure import Figure

from sinkbench.analysis.select import pick
from sinkbench.report.figures._by_length import draw_growth
from sinkbench.report.figures._style import panels

TITLE = "Memory along the stream"
CATEGORY = "streaming"
CAPTION_FIELDS = ("device",)
CAPTION = (
    "Above: bytes of keys and values held at the end of the timed stretch. Below: peak memory while reading "
    "the prompt and decoding, of the device on CUDA, of the process on a CPU (here: {device}). Both in MiB "
    "(2^20 bytes). Dense attention is drawn by context length, caches of fixed size by stream position, "
    "recomputation by its budget. A run that holds no keys between steps has no place on the logarithmic "
    "scale above. Of each policy the largest and the smallest budget, unquantized, on their fastest engine. "
    "Hollow and dashed: without attention sinks."
)
HEIGHT_INCHES = 3.6
PANELS = {"cache_bytes": "Keys and values [MiB]", "peak_memory_bytes": "Peak memory [MiB]"}
MEBI = 2**-20


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    figure, axes = panels(["Cache", "Peak"], HEIGHT_INCHES)
    for axis, (metric, heading) in zip(axes, PANELS.items(), strict=True):
        pick(measurements, metric)
        draw_growth(axis, measurements, metric, heading, MEBI)
    return figure
