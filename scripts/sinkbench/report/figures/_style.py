"""What all figures share: one look per policy, one marker per budget, readable type, byte-equal files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from types import ModuleType

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.select import (
    RUN,
    extreme_budgets,
    matching,
    single_stream,
    usable,
    with_fastest_engines,
)
from sinkbench.artifacts.files import atomic_write
from sinkbench.report.figures._palette import colour, text_colour

MARKERS = "os^Dv<>Ph"  # from the largest budget down
UNBOUNDED_MARKER = "X"
TICK_DISTANCE = 0.13  # of the axis, so that numbers of seven digits stand apart
WIDTH_INCHES = 5.0  # type of 9 points can be read where a phone shows this in 360 pixels
BESIDE = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "size": 8}  # right of a point
LINE_CHARACTERS = 80  # of small type in that width
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "svg.hashsalt": "sinkbench",  # with no date in the file, the same numbers give the same bytes
    "pdf.fonttype": 42,
}
UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def draw(module: ModuleType, measurements: pd.DataFrame, fields: dict) -> Figure:
    """The figure of a module of sinkbench.figures, in the shared style."""
    with _own_style():
        return module.draw(measurements, fields)


@contextmanager
def _own_style() -> Iterator[None]:
    """The shared style within the block, whatever matplotlibrc the user or the working folder has."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def text_figure(sentences: list[str]) -> Figure:
    """A figure of nothing but text, one paragraph for each sentence."""
    figure = Figure(figsize=(WIDTH_INCHES, 0.3 + 0.3 * len(sentences)), layout="constrained")
    text = "\n".join(fill(sentence, LINE_CHARACTERS) for sentence in sentences)
    figure.text(0.01, 0.98, text, va="top", size=8, parse_math=False)
    return figure


def save(figure: Figure, title: str, *paths: str | Path) -> None:
    """Write the figure in the formats that the paths' extensions name; the title goes into their metadata."""
    with _own_style():
        for path in map(Path, paths):
            with atomic_write(path) as partial:
                metadata = {"Title": title, **UNDATED[path.suffix]}
                figure.savefig(partial, format=path.suffix[1:], metadata=metadata)
            figure.set_layout_engine("none")  # the first file has laid it out


def panels(names: list[str], height_inches: float) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per name, above each other; the names are titles if there are several."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches * len(names)), layout="constrained")
    axes = list(figure.subplots(len(names), squeeze=False)[:, 0])
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name if len(names) > 1 else "", loc="left")
    return figure, axes


def style_of(measurements: pd.DataFrame, row: Mapping) -> dict:
    """Colour by policy, marker by budget; hollow and dashed without sinks. Arguments of Axes.plot.

    What is hollow lies on top and is larger, so that of two equal runs both are seen.
    """
    ink = colour(row["policy"])
    hollow = row["sinks"] == 0 if not pd.isna(row["sinks"]) else False
    return {
        "color": ink,
        "marker": _marker(measurements, row["budget"]),
        "markerfacecolor": "none" if hollow else ink,
        "markersize": 7.5 if hollow else 4.5,
        "linestyle": "--" if hollow else "-",
        "zorder": 3 if hollow else 2,
    }


def label(row: Mapping, measurements: pd.DataFrame) -> str:
    """A method as a figure names it, with its engine where the study has several for some method."""
    several = (measurements.groupby("method")["engine"].nunique() > 1).any()
    name = short_name(row["method"], measurements)
    return f"{name} {row['engine']}" if several and not pd.isna(row["engine"]) else name


def short_name(method: str, measurements: pd.DataFrame) -> str:
    """A method's policy and budget, and its settings where another method has that policy and budget too."""
    begins = [_beginning(name) for name in measurements["method"].unique()]
    short = _beginning(method)
    return (short if begins.count(short) == 1 else method).replace("-", " ")


def _beginning(method: str) -> str:
    return "-".join(method.split("-")[:2])


def lines_of_runs(measurements: pd.DataFrame, metric: str, **where) -> Iterator[tuple[dict, pd.DataFrame]]:
    """(first row, rows by position) of what a figure shows of a metric.

    Of each policy the extreme budgets, in the model's own number format, one stream, on the fastest engine.
    """
    shown = with_fastest_engines(single_stream(matching(usable(measurements), quantization="none")))
    rows = extreme_budgets(matching(shown, metric=metric, **where))
    for _, line in rows.groupby(RUN, sort=False, dropna=False):
        line = line.sort_values("position")
        yield line.iloc[0].to_dict(), line


def draw_times(axes: Axes, rows: list[dict]) -> None:
    """Times as dots with intervals and numbers, one below the other, named by engine; rows of tpot_ms."""
    for height, row in enumerate(rows):
        time, ink = estimate(row), colour(row["policy"])
        low, high = time.bounds
        errors = [[time.value - low], [high - time.value]]
        axes.errorbar(time.value, height, xerr=errors, fmt="o", markersize=4.5, elinewidth=0.8, color=ink)
        number = f"{time.number} {row['unit']}"
        axes.annotate(number, (high, height), color=text_colour(row["policy"]), **BESIDE)
    axes.set_yticks(range(len(rows)), [row["engine"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first on top
    axes.grid(visible=False, axis="y")


def log_axis(axes: Axes, which: str, ticks: list[float] | None = None) -> None:
    """A logarithmic axis with plain numbers at its ticks: the given ones that do not crowd, or a few."""
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log")
    low, high = axis.get_view_interval()
    if ticks is not None:
        axis.set_major_locator(FixedLocator(_apart(ticks)))
    else:
        axis.set_major_locator(_locator(high / low, wide=which == "x"))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.10g}"))
    axis.set_minor_locator(NullLocator())


def _locator(span: float, wide: bool = False) -> LogLocator | MaxNLocator:
    """Round numbers, few enough for an axis whose ends are a factor of `span` apart.

    Args:
        wide: the numbers stand beside each other, and not above.
    """
    if span <= 8:
        return MaxNLocator(6, steps=(1, 2, 5, 10))
    if span >= 2e3:
        return LogLocator(subs=(1,))
    return LogLocator(subs=(1, 3) if wide and span > 50 else (1, 2, 5))


def _apart(ticks: list[float]) -> list[float]:
    """From the first on, those that keep their distance from the one before on a logarithmic axis."""
    kept, factor = ticks[:1], (ticks[-1] / ticks[0]) ** TICK_DISTANCE
    for tick in ticks:
        if tick >= factor * kept[-1] > kept[-1]:
            kept.append(tick)
    return kept


def _marker(measurements: pd.DataFrame, budget) -> str:
    if pd.isna(budget):
        return UNBOUNDED_MARKER
    budgets = sorted(measurements["budget"].dropna().unique(), reverse=True)
    return MARKERS[budgets.index(budget) % len(MARKERS)]
