"""Time per token beside the time to compile, by mode of torch.compile and by stable or growing shapes."""

from itertools import groupby

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.ablations import CompiledRun, compiled_runs
from sinkbench.analysis.select import NotMeasured
from sinkbench.report.figures._palette import colour, text_colour
from sinkbench.report.figures._style import BESIDE, WIDTH_INCHES, draw_times

TITLE = "Time per token beside the time to compile"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device", "dagger")
CAPTION = (
    "Left: time per output token ({device}, median of {repetitions} repetitions of {steps} steps after "
    "warm-up, bars: {confidence} % intervals). Right: time to compile from an empty cache, with the number "
    "of graphs made. Below that: tokens after which the gain over the uncompiled step has paid for "
    "compiling, where that step was timed. static, and compiled by mode: shapes never change. growing, "
    "compiled_growing and compiled_dynamic: the cache is concatenated, and every step has a new shape. "
    "{dagger}"
)
INCHES_PER_RUN = 0.25
INCHES_PER_PANEL = 0.7
ROOM = 1.75  # right of the longest bar, as a factor: space for its numbers


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one row of panels per method."""
    runs = list(compiled_runs(measurements))
    if not runs:
        raise NotMeasured("")
    groups = [list(group) for _, group in groupby(runs, lambda run: run.row["method"])]
    counts = [len(group) for group in groups]
    height = sum(INCHES_PER_PANEL + INCHES_PER_RUN * count for count in counts)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(len(groups), 2, sharex="col", squeeze=False, height_ratios=counts)
    for (times, costs), group in zip(panels, groups, strict=True):
        _draw_group(times, costs, group)
    slowest = pd.DataFrame([run.row for run in runs])[["value", "high"]].max().max()
    panels[0, 0].set_xlim(0, ROOM * slowest)
    panels[0, 1].set_xlim(0, 1.5 * ROOM * max([run.seconds or 0 for run in runs] + [1]))
    panels[-1, 0].set_xlabel("Time per token [ms]")
    panels[-1, 1].set_xlabel("Time to compile [s]")
    return figure


def _draw_group(times: Axes, costs: Axes, runs: list[CompiledRun]) -> None:
    ink = {"color": text_colour(runs[0].row["policy"])}
    draw_times(times, [run.row for run in runs])
    for height, run in enumerate(runs):
        costs.barh(height, run.seconds or 0, 0.6, color=colour(run.row["policy"]), alpha=0.6)
        costs.annotate(_cost(run), (run.seconds or 0, height), **BESIDE, **ink)
    costs.set_yticks([])
    costs.set_ylim(times.get_ylim())
    costs.grid(visible=False, axis="y")
    first = runs[0].row
    title = f"{first['method'].replace('-', ' ')} at {first['position_kind']} {first['position']:,}"
    times.set_title(title, loc="left", **ink)


def _cost(run: CompiledRun) -> str:
    """15 s, 2 graphs: pays after 30,000 tokens; the last only where the uncompiled step was timed."""
    if run.seconds is None:
        return "not compiled"
    cost = f"{run.seconds:.0f} s, {run.graphs} graph{'s' * (run.graphs != 1)}"
    if run.gain is None:
        return cost
    after = run.pays_after_tokens
    return f"{cost}\n" + (f"pays after {after:,.0f}" if after else "never pays")
