"""Perplexity against time per token, with the frontier of runs that no other run beats in both."""

from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.select import (
    at_largest_point,
    corpora,
    matching,
    pick,
    single_stream,
    usable,
    with_fastest_engines,
)
from sinkbench.analysis.tradeoff import Tradeoff, tradeoff
from sinkbench.report.figures._labels import label_points
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import label, log_axis, panels, style_of

TITLE = "Perplexity against time per token"
CATEGORY = "findings"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device")
CAPTION = (
    "Perplexity against time per output token (TPOT, {device}, median of {repetitions} repetitions of "
    "{steps} steps at the largest point timed), one point per method, on its fastest engine; lower left is "
    "better, and the line joins the methods that no other one beats in both. So that all points compare, a "
    "perplexity is that of the method which the others are compared with, times the paired change against "
    "it: bars are {confidence} % intervals of that change, and of TPOT. Dense attention has no "
    "place on this scale, since it is scored only up to a length; its time is marked. Hollow: without "
    "attention sinks."
)
HEIGHT_INCHES = 4.2


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel per corpus."""
    pick(measurements, "perplexity_change")
    names = corpora(measurements)
    figure, axes = panels(names, HEIGHT_INCHES)
    for axis, corpus in zip(axes, names, strict=True):
        _panel(axis, measurements, corpus)
    return figure


def _panel(axes: Axes, measurements: pd.DataFrame, corpus: str) -> None:
    found = tradeoff(measurements, corpus)
    for row, tpot, perplexity in found.points:
        bars = {"xerr": _errors(tpot), "yerr": _errors(perplexity)}
        style = {**style_of(measurements, row), "linestyle": "none", "elinewidth": 0.8}
        axes.errorbar(tpot.value, perplexity.value, **bars, **style)
    _note_unbounded(axes, measurements, corpus)
    axes.margins(0.12, 0.1)
    log_axis(axes, "x")
    axes.set_xlabel("TPOT [ms per token]")
    axes.set_ylabel(f"Perplexity, by change against {found.anchor}")
    steps = _draw_frontier(axes, found)
    texts = [
        (tpot.value, perplexity.value, label(row, measurements), text_colour(row["policy"]))
        for row, tpot, perplexity in found.points
    ]
    label_points(axes, texts, [*steps, *_bars(found)])


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


def _note_unbounded(axes: Axes, measurements: pd.DataFrame, corpus: str) -> None:
    """Mark the time of methods without a budget, which have no point, and say what perplexity they reach."""
    valid, notes = with_fastest_engines(single_stream(usable(measurements))), []
    times = matching(valid, metric="tpot_ms")
    for row in at_largest_point(times[times["budget"].isna()]).to_dict("records"):
        axes.axvline(row["value"], color=colour(row["policy"]), linestyle=":", linewidth=1)
        note = f"dotted: {label(row, measurements)} at {row['position']:,} tokens"
        own = matching(valid, metric="perplexity", corpus=corpus, method=row["method"])
        for pooled in own[own["document"].isna()].to_dict("records"):
            note += f"; perplexity {pooled['value']:,.0f} over {pooled['n']:,} tokens"
        notes.append(note)
    axes.set_title("\n".join(notes), loc="right", size=8, color=GREY)


def _bars(found: Tradeoff) -> list[tuple]:
    """Ends of all error bars."""
    bars = []
    for _, tpot, perplexity in found.points:
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
