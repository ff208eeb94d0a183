"""Where the time of a decode step goes, run by run."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sinkbench.analysis.profiles import Profile, profiles
from sinkbench.report.figures._palette import DARK_PARTS, PARTS, text_colour
from sinkbench.report.figures._style import panels
from sinkbench.results import step_parts

TITLE = "Where the time of a decode step goes"
CATEGORY = "engine"
CAPTION_FIELDS = ("device", "repetitions", "steps")
CAPTION = (
    "Share of each part in the time of a decode step on {device}, without the choice of the next token, the "
    "fastest run first. Beside each run stands the time of its unprofiled step, the median of {repetitions} "
    "repetitions of {steps} steps, and how much it launches. Launches are kernels, copies and fills on "
    "CUDA, operators on a CPU. Parts are medians of profiled steps. Idle is what the parts leave of the "
    "step, when the device waits between kernels. Idle for attention is the waiting that goes when attention "
    "is stubbed. On a CPU idle is a lower bound, since the profiler slows operators down. Projections are "
    "those to query, key and value and from the heads. Two colours hatched: launches that do the work of "
    "several parts. An asterisk: kernels that overlap were launched separately, and the step in brackets is "
    "the engine's own."
)
IDLE_HATCHING = "#999999"
HATCHES = ("////", "xxxx")  # of idle time and of two parts together, and of more
RUN_INCHES = 0.42
FRAME_INCHES = 0.6
LEGEND_INCHES = 0.17  # a line of it
BAR = 0.52  # of the space between two runs
LEAST_PERCENT = 6.0  # a narrower segment has no room for its number


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    found = sorted(profiles(measurements), key=lambda profile: profile.step_ms)
    shown = step_parts.ordered(part for profile in found for part in profile.parts.index)
    legend_inches = LEGEND_INCHES * ((len(shown) + 1) // 2)
    figure, (axes,) = panels([""], FRAME_INCHES + legend_inches + RUN_INCHES * len(found))
    for height, profile in enumerate(found):
        _draw_run(axes, height, profile)
    axes.set(xlim=(0, 100), ylim=(len(found) - 0.6, -0.75), xlabel="Share of the step [%]", yticks=[])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    handles = [Patch(label=step_parts.label(part), **_look(part)) for part in shown]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=8, columnspacing=0.8
    )
    return figure


def _draw_run(axes: Axes, height: int, profile: Profile) -> None:
    left = 0.0
    for part in profile.parts.index:
        percent = profile.percent(part)
        axes.barh(height, percent, BAR, left, linewidth=0.4, **_look(part))
        if percent >= LEAST_PERCENT:
            _write_share(axes, left + percent / 2, height, part, percent)
        left += percent
    name = f"{profile.name.replace('-', ' ', 1)}, {profile.point}"
    text = f"{_steps(profile)}, {profile.launches:,} launches"
    ink = text_colour(profile.row["policy"])
    axes.text(0, height - BAR / 2 - 0.05, name, color=ink, size=8, va="bottom")
    axes.text(100, height - BAR / 2 - 0.05, text, size=8, va="bottom", ha="right")


def _steps(profile: Profile) -> str:
    """The time that the parts make up and, where the engine's own is another, that."""
    shown = f"{profile.step_ms:,.2f} ms"
    return f"{shown}* ({profile.timed.value:,.2f} ms)" if profile.is_separate else shown


def _write_share(axes: Axes, x: float, height: int, part: str, percent: float) -> None:
    look = _look(part)
    box = {"facecolor": look["facecolor"], "edgecolor": "none", "pad": 1} if "hatch" in look else None
    ink = "white" if part in DARK_PARTS else "black"
    axes.text(x, height, f"{percent:.0f}", size=8, color=ink, ha="center", va="center", bbox=box)


def _look(part: str) -> dict:
    """Fill and hatching; arguments of Axes.barh and Patch. The hatching has the colour of the edge."""
    first, *others = step_parts.members(part)
    if part in (step_parts.ATTENTION_IDLE, step_parts.IDLE):
        return {"facecolor": PARTS[part], "edgecolor": IDLE_HATCHING, "hatch": HATCHES[0]}
    if others:
        hatch = HATCHES[min(len(others), len(HATCHES)) - 1]
        return {"facecolor": PARTS[first], "edgecolor": PARTS[others[0]], "hatch": hatch}
    return {"facecolor": PARTS[part], "edgecolor": "white"}
