"""Time per token of every engine beside its floor: the bytes that a step must read, over the bandwidth."""

from collections.abc import Iterator
from contextlib import suppress

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.select import (
    RUN,
    NotMeasured,
    at_common_point,
    full_budget,
    matching,
    method_of,
    pick,
)
from sinkbench.report.figures._labels import SIZE
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import WIDTH_INCHES, log_axis

TITLE = "Time per token beside the memory-bandwidth floor"
CATEGORY = "engine"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device", "dagger")
CAPTION = (
    "Time per output token ({device}, median of {repetitions} repetitions of {steps} steps, "
    "bars: {confidence} % intervals) of one stream, beside its floor. The floor is the bytes that a step "
    "must read over the bandwidth measured beside the timing. The line between them is what an engine adds; "
    "MBU is floor over time. Streaming at its full budget and dense attention, on every engine and in every "
    "number format. Each is shown at the point where most of its runs were timed. The axis is logarithmic. "
    "{dagger}"
)
LINE = {"linewidth": 4, "alpha": 0.3, "solid_capstyle": "butt"}
FLOOR = {"marker": "|", "markersize": 9, "markeredgewidth": 1.5, "linestyle": "none"}
TIME = {"fmt": "o", "markersize": 4.5, "elinewidth": 0.8}
KEY = [
    Line2D([], [], color=GREY, label="floor", **FLOOR),
    Line2D([], [], color=GREY, label="time per token", marker="o", markersize=4.5, linestyle="none"),
]
INCHES_PER_BAR = 0.23
INCHES_PER_PANEL = 0.75
MARGIN = 1.2
ROOM = 1.3  # to the right of the slowest run, as a share of the way there: space for its numbers


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel for streaming, one for dense attention if it was timed."""
    groups = list(_groups(measurements))
    counts = [len(rows) for _, rows in groups]
    height = sum(INCHES_PER_PANEL + INCHES_PER_BAR * count for count in counts)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    axes = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for axis, (name, rows) in zip(axes, groups, strict=True):
        _panel(axis, name, rows)
    shown = pd.concat(rows for _, rows in groups)
    least, most = shown["floor_ms"].min() / MARGIN, shown[["value", "high"]].max().max()
    axes[-1].set_xlim(least, most * (most / least) ** ROOM)
    log_axis(axes[-1], "x")
    axes[-1].set_xlabel("Time per token [ms]")
    figure.legend(handles=KEY, loc="outside upper right", ncols=len(KEY), frameon=False, fontsize=SIZE)
    return figure


def _groups(measurements: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(plain method, its runs and those of its other number formats), as rows of `_runs`."""
    plain = method_of(measurements, "streaming", budget=full_budget(measurements))
    yield plain, _runs(measurements, plain)
    with suppress(NotMeasured):  # a study may leave dense attention out
        plain = method_of(measurements, "dense")
        yield plain, _runs(measurements, plain)


def _runs(measurements: pd.DataFrame, plain: str) -> pd.DataFrame:
    """Rows of tpot_ms, the fastest first, with the columns floor_ms and mbu beside them."""
    same = matching(measurements, method=plain).iloc[0]
    alike = {name: same[name] for name in ("policy", "budget", "sinks") if not pd.isna(same[name])}
    times = at_common_point(pick(measurements, "tpot_ms", **alike)).sort_values("value", kind="stable")
    keys = [*RUN, "position_kind", "position"]
    for metric in ("floor_ms", "mbu"):
        numbers = pick(measurements, metric, **alike).set_index(keys)["value"].rename(metric)
        times = times.join(numbers, on=keys)
    return times


def _panel(axes: Axes, plain: str, runs: pd.DataFrame) -> None:
    rows = runs.to_dict("records")
    for height, row in enumerate(rows):
        _bar(axes, height, row)
    axes.set_yticks(range(len(rows)), [_name(row, plain) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the fastest on top
    axes.grid(visible=False, axis="y")
    points = " or ".join(dict.fromkeys(f"{row['position']:,}" for row in rows))
    title = f"{plain.replace('-', ' ')} at {points} tokens"
    axes.set_title(title, loc="left", color=text_colour(rows[0]["policy"]))


def _bar(axes: Axes, height: int, row: dict) -> None:
    """The floor as a tick, the time as a dot, a line between them, and the numbers to the right."""
    time, ink = estimate(row), colour(row["policy"])
    low, high = time.bounds
    axes.plot([row["floor_ms"], time.value], [height] * 2, color=ink, **LINE)
    axes.plot(row["floor_ms"], height, color=GREY, **FLOOR)
    axes.errorbar(time.value, height, xerr=[[time.value - low], [high - time.value]], color=ink, **TIME)
    text = f"{time.number} ms, MBU {100 * row['mbu']:.0f} %"
    place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, (high, height), size=SIZE, color=text_colour(row["policy"]), **place)


def _name(row: dict, plain: str) -> str:
    """The engine, and the number format where it is not the plain one."""
    return f"{row['engine']} {row['method'].removeprefix(plain).lstrip('-')}".strip()
