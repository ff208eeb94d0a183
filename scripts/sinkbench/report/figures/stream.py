"""Step time and memory along a very long stream: flat is what a cache of fixed size promises."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.select import RUN, NotMeasured, matching, single_stream, usable
from sinkbench.report.figures._by_length import draw_growth
from sinkbench.report.figures._style import lines_of_runs, panels, style_of

TITLE = "Step time and memory along a long stream"
CATEGORY = "streaming"
CAPTION_FIELDS = ("repetitions", "steps", "device")
CAPTION = (
    "Above: median step of {repetitions} repetitions of {steps} steps, with a band from the 10th to the "
    "90th percentile (events on CUDA, wall time on a CPU; here: {device}). Below: peak memory while reading "
    "the prompt and decoding. Both by the stream position. Shown are runs whose positions span a factor of "
    "10 or more, unquantized. Of each policy the largest and the smallest budget are drawn on their fastest "
    "engine. All axes are logarithmic, the upright ones over at least a factor of 10: flat is good. Hollow "
    "and dashed: without attention sinks."
)
HEIGHT_INCHES = 3.0
LEAST_SPAN = 10
PANELS = {
    "step_p50_ms": ("Step time", "Median step [ms]", 1),
    "peak_memory_bytes": ("Memory", "Peak memory [MiB]", 2**-20),
}


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    rows = _long_streams(measurements)
    figure, axes = panels([name for name, _, _ in PANELS.values()], HEIGHT_INCHES)
    for axis, (metric, (_, heading, scale)) in zip(axes, PANELS.items(), strict=True):
        axis.set_yscale("log")
        axis.set_ylim(_limits(scale * matching(rows, metric=metric)["value"]))
        draw_growth(axis, rows, metric, heading, scale)
        axis.set_xlabel("Stream position [tokens]")
    _draw_bands(axes[0], rows)
    return figure


def _long_streams(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows of the runs whose stream positions span a wide range; NotMeasured if there are none."""
    rows = matching(single_stream(usable(measurements)), position_kind="position")
    span = rows.groupby(RUN)["position"].agg(lambda positions: positions.max() / positions.min())
    wide = rows.set_index(RUN).index.isin(span[span >= LEAST_SPAN].index)
    if not wide.any():
        raise NotMeasured(f"no run was timed at stream positions that span a factor of {LEAST_SPAN}")
    return rows[wide]


def _limits(values: pd.Series) -> tuple[float, float]:
    """Of a logarithmic axis: room around the values, and so wide that a small change looks small."""
    low, high = 0.8 * values.min(), 1.25 * values.max()
    stretch = max(1, LEAST_SPAN / (high / low)) ** 0.5
    return low / stretch, high * stretch


def _draw_bands(axes: Axes, rows: pd.DataFrame) -> None:
    ends = zip(lines_of_runs(rows, "step_p10_ms"), lines_of_runs(rows, "step_p90_ms"), strict=True)
    for (row, low), (_, high) in ends:
        shade = {"color": style_of(rows, row)["color"], "alpha": 0.2, "linewidth": 0}
        axes.fill_between(low["position"].astype(float), low["value"], high["value"], **shade)
