"""Time per token under streaming by attention kernel: the ring beside the formulation of the paper."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.ablations import attention_runs
from sinkbench.analysis.select import NotMeasured, at_common_point, matching, usable
from sinkbench.report.figures._palette import GREY, text_colour
from sinkbench.report.figures._style import WIDTH_INCHES, draw_times

TITLE = "Attention kernels under streaming"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device", "dagger")
CAPTION = (
    "Time per output token of streaming ({device}, median of {repetitions} repetitions of {steps} steps, "
    "bars: {confidence} % intervals) with one attention kernel at a time. The ring rotates the new key and "
    "the sinks only; the formulation of the paper rotates every key. eager has the kernel that torch "
    "chooses, and paper plain matrix products. The dotted line is eager, where it was timed at an equal "
    "point. A kernel without a time could not run here, and the table says why. {dagger}"
)
FORMULATIONS = {
    "eager": "Ring: only the new key and the sinks are rotated",
    "paper": "Paper: every key is rotated at every step",
    "fused": "Our kernels",
}
YARDSTICK = "eager"
INCHES_PER_RUN = 0.24
INCHES_PER_PANEL = 0.6
ROOM = 1.3  # right of the slowest run, as a factor: space for its number


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION; one panel per formulation."""
    shown = attention_runs(measurements)
    times = at_common_point(matching(usable(shown), metric="tpot_ms"))
    if times.empty or not (times["family"] == "attention").any():
        raise NotMeasured("")
    methods = ", ".join(name.replace("-", " ") for name in times["method"].unique())
    groups = list(times.groupby(times["engine"].str.partition("_")[0], sort=False))
    counts = [len(rows) for _, rows in groups]
    height = sum(INCHES_PER_PANEL + INCHES_PER_RUN * count for count in counts)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for axes, (word, rows) in zip(panels, groups, strict=True):
        _panel(axes, word, rows)
        same = times["position"].isin(rows["position"]) & (times["engine"] == YARDSTICK)
        for yardstick in times[same]["value"]:
            axes.axvline(yardstick, color=GREY, linewidth=0.8, linestyle=":")
    panels[-1].set(
        xlim=(0, ROOM * times[["value", "high"]].max().max()), xlabel=f"Time per token [ms], {methods}"
    )
    return figure


def _where(times: pd.DataFrame) -> str:
    """position 1,024"""
    rows = times.drop_duplicates(["position_kind", "position"]).to_dict("records")
    return ", ".join(f"{row['position_kind']} {row['position']:,}" for row in rows)


def _panel(axes: Axes, word: str, rows: pd.DataFrame) -> None:
    records = rows.to_dict("records")
    draw_times(axes, records)
    title = f"{FORMULATIONS.get(word, word)}; {_where(rows)}"
    axes.set_title(title, loc="left", color=text_colour(records[0]["policy"]))
