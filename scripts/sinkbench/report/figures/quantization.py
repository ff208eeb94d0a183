"""When does int8 pay? Speed-up of quantized weights against unquantized ones, engine by engine."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import gains, quantized
from sinkbench.analysis.select import NotMeasured
from sinkbench.report.figures._labels import SIZE
from sinkbench.report.figures._palette import GREY, colour
from sinkbench.report.figures._style import WIDTH_INCHES, log_axis
from sinkbench.results.schema import has_failed

TITLE = "When quantized weights pay"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device")
CAPTION = (
    "Speed of quantized weights over that of unquantized ones ({device}), one method on one engine, a panel "
    "for each engine. Right of the line quantized weights pay. Times are medians of {repetitions} "
    "repetitions of {steps} steps; bars are {confidence} % intervals. Hollow: TorchAO's formats. A format "
    "without a number could not run, and its word says how it ended."
)
ROW_INCHES = 0.24
FRAME_INCHES = 0.35  # of a panel: title and space
TORCHAO = "torchao_"


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    rows = gains(measurements)
    if rows.empty:
        raise NotMeasured("")
    timed = quantized(measurements[measurements["engine"].notna()])
    failed = timed[has_failed(timed) & timed["engine"].isin(rows["engine"])]
    shown = {engine: _entries(rows, failed, engine) for engine in rows["engine"].unique()}
    heights = [len(entries) for entries in shown.values()]
    size = (WIDTH_INCHES, ROW_INCHES * sum(heights) + FRAME_INCHES * len(heights) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(shown), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (engine, entries) in zip(axes, shown.items(), strict=True):
        _panel(axis, engine, entries)
    log_axis(axes[-1], "x")
    axes[-1].set_xlabel("Speed over that of unquantized weights")
    return figure


def _entries(rows: pd.DataFrame, failed: pd.DataFrame, engine: str) -> list[dict]:
    """What a panel shows from top to bottom: runs with a number, then those without."""
    numbers, others = rows[rows["engine"] == engine], failed[failed["engine"] == engine]
    return [*numbers.to_dict("records"), *others.drop_duplicates("method").to_dict("records")]


def _panel(axes: Axes, engine: str, entries: list[dict]) -> None:
    axes.axvline(1, color=GREY, linewidth=1)
    for height, row in enumerate(entries):
        if row["metric"] == "speedup":
            _dot(axes, height, row)
        else:
            axes.text(1, height, f" {row['status'].split(':')[0]}", color=GREY, size=SIZE, va="center")
    names = [_name(row, entries) for row in entries]
    axes.set_yticks(range(len(entries)), names)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_title(engine, loc="left")


def _dot(axes: Axes, height: int, row: dict) -> None:
    speedup = estimate(row)
    low, high = speedup.bounds
    errors = [[speedup.value - low], [high - speedup.value]]
    ink = colour(row["policy"])
    face = "none" if row["quantization"].startswith(TORCHAO) else ink
    style = {"color": ink, "marker": "o", "markersize": 5, "markerfacecolor": face, "linestyle": "none"}
    axes.errorbar(speedup.value, height, xerr=errors, elinewidth=0.9, **style)
    where = {"textcoords": "offset points", "size": SIZE, "va": "bottom", "ha": "center"}
    axes.annotate(speedup.number, (speedup.value, height), (0, 3), color=GREY, **where)


def _name(row: dict, entries: list[dict]) -> str:
    """The number format, with the method's other half where a panel has several."""
    methods = {entry["method"].removesuffix(f"-{entry['quantization']}") for entry in entries}
    name = row["quantization"].replace("_", " ")
    return name if len(methods) == 1 else f"{name} ({row['policy']})"
