"""Perplexity against time per token, with the frontier of runs that no other run beats in both."""

from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.select import (
    at_largest_point,
    corpora,
    full_budget,
    matching,
    pick,
    single_stream,
    usable,
    with_fastest_engines,
)
from sinkbench.analysis.tradeoff import Tradeoff, tradeoff
from sinkbench.report.figures._labels import SIZE, label_points
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import MARKERS, log_axis, panels, short_name

TITLE = "Perplexity against time per token"
CATEGORY = "findings"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device")
CAPTION = (
    "Perplexity against time per output token ({device}, median of {repetitions} repetitions of {steps} "
    "steps at the largest point timed). A point is a method on its fastest engine; lower left is better. "
    "The line joins the methods that no other one beats in both. These have names, and so have the "
    "baselines at the full budget. So that all points compare, a perplexity is that of streaming at the "
    "full budget, scaled by the paired change against it. Bars are {confidence} % intervals of that change "
    "and of the time. Dense attention is scored only up to a length and has no place on this "
    "scale; its time is marked. Hollow: without attention sinks."
)
HEIGHT_INCHES = 3.6
LARGE, SMALL = 6, 3.5  # markers of what has a label, and of the rest
LEGEND_COLUMNS = 3


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel per corpus."""
    pick(measurements, "perplexity_change")
    names = corpora(measurements)
    shown = {corpus: tradeoff(measurements, corpus) for corpus in names}
    rows = [row for found in shown.values() for row, *_ in found.points]
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    markers = {engine: MARKERS[index % len(MARKERS)] for index, engine in enumerate(engines)}
    figure, axes = panels(names, HEIGHT_INCHES)
    for axis, found in zip(axes, shown.values(), strict=True):
        _panel(axis, measurements, found, markers)
    handles = [*_legend(rows, markers), *_unbounded_legend(measurements)]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=LEGEND_COLUMNS, frameon=False, fontsize=SIZE
    )
    return figure


def _legend(rows: list[dict], markers: dict[str, str]) -> list[Line2D]:
    """Policies by colour, engines by marker."""
    looks = {row["policy"]: {"marker": "o", "color": colour(row["policy"])} for row in rows}
    looks |= {f"on {engine}": {"marker": marker, "color": GREY} for engine, marker in markers.items()}
    return [
        Line2D([], [], label=name, linestyle="none", markersize=5, **look) for name, look in looks.items()
    ]


def _unbounded_legend(measurements: pd.DataFrame) -> list[Line2D]:
    """Methods without a budget, of which only the time is marked."""
    return [
        Line2D([], [], label=f"{row['method']} on {row['engine']}", **_line(row))
        for row in _unbounded(measurements)
    ]


def _panel(axes: Axes, measurements: pd.DataFrame, found: Tradeoff, markers: dict) -> None:
    named = [point for point in found.points if _is_named(point[0], found, full_budget(measurements))]
    for row, tpot, perplexity in found.points:
        hollow = row["sinks"] == 0
        style = {"color": colour(row["policy"]), "marker": markers[row["engine"]], "linestyle": "none"}
        style |= {"markerfacecolor": "none"} if hollow else {}
        if (row, tpot, perplexity) in named:
            style |= {"xerr": _errors(tpot), "yerr": _errors(perplexity), "elinewidth": 0.8}
            axes.errorbar(tpot.value, perplexity.value, markersize=LARGE, zorder=3, **style)
        else:
            axes.plot(tpot.value, perplexity.value, markersize=SMALL, **style)
    axes.margins(0.15, 0.12)
    log_axis(axes, "x")
    log_axis(axes, "y")
    axes.set_xlabel("Time per token [ms]")
    axes.set_ylabel("Perplexity")
    for row in _unbounded(measurements):
        axes.axvline(row["value"], **_line(row))
    steps = _draw_frontier(axes, found)
    texts = [
        (tpot.value, perplexity.value, short_name(row["method"], measurements), text_colour(row["policy"]))
        for row, tpot, perplexity in named
    ]
    others = [((x.value, y.value),) * 2 for _, x, y in found.points]
    label_points(axes, texts, [*steps, *_bars(named), *others])


def _is_named(row: dict, found: Tradeoff, budget: int) -> bool:
    """Whether a point has a label: on the frontier, or at the full budget a baseline or plain streaming."""
    compared = row["family"] == "baseline" or (row["policy"] == "streaming" and row["quantization"] == "none")
    return row in found.frontier or (compared and row["budget"] == budget)


def _draw_frontier(axes: Axes, found: Tradeoff) -> list[tuple]:
    """Draw the frontier as steps that go on to the edges, and return its segments."""
    best = [(tpot.value, perplexity.value) for row, tpot, perplexity in found.points if row in found.frontier]
    limits = (axes.get_xlim(), axes.get_ylim())
    corners = [(min(best)[0], limits[1][1])]
    for x, y in sorted(best):
        corners += [(x, corners[-1][1]), (x, y)]
    corners = [*corners[1:], (limits[0][1], corners[-1][1])]
    axes.plot(*zip(*corners, strict=True), color=GREY, linewidth=1, zorder=1)
    axes.set(xlim=limits[0], ylim=limits[1])
    return list(pairwise(corners))


def _unbounded(measurements: pd.DataFrame) -> list[dict]:
    """Times of the methods without a budget, at their largest context."""
    times = matching(with_fastest_engines(single_stream(usable(measurements))), metric="tpot_ms")
    return at_largest_point(times[times["budget"].isna()]).to_dict("records")


def _line(row: dict) -> dict:
    return {"color": colour(row["policy"]), "linestyle": ":", "linewidth": 1}


def _bars(points: list[tuple]) -> list[tuple]:
    """Ends of all error bars."""
    bars = []
    for _, tpot, perplexity in points:
        (left, right), (low, high) = tpot.bounds, perplexity.bounds
        bars += [
            ((left, perplexity.value), (right, perplexity.value)),
            ((tpot.value, low), (tpot.value, high)),
        ]
    return bars


def _errors(number: Estimate) -> list[list[float]]:
    """Distances to both ends of the interval, as Axes.errorbar wants them."""
    low, high = number.bounds
    return [[number.value - low], [high - number.value]]
