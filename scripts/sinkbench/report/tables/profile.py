"""Where the time of a decode step goes: one row per run, one column per part."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, without_empty_columns
from sinkbench.analysis.profiles import Profile, profiles
from sinkbench.analysis.select import NotMeasured
from sinkbench.results.step_parts import label, ordered

TITLE = "Time of each part of a decode step"
CATEGORY = "engine"
CAPTION_FIELDS = ("device", "repetitions", "steps")
CAPTION = (
    "Time of each part of a decode step on {device}, without the choice of the next token, in ms and in % "
    "of the step. Point is the stream position, the context (dense) or the budget (recomputed). A part is "
    "the median of the profiled steps: times of kernels on CUDA, of operators on a CPU. TB/s are the bytes "
    "that a part's kernels must read over their time, where the engine knows them. Projections are those to "
    "query, key and value and from the heads. Step is unprofiled, the median of {repetitions} repetitions of "
    "{steps} steps. Kernels that overlap cannot be told apart: they were launched separately, and the parts "
    "add up to the step so launched. Without attention is the step with rotation, cache, scores and weighted "
    "values stubbed, where the host launches kernel by kernel. Idle is what the parts leave of the step: the "
    "device then waits between kernels; on a CPU the host is outside of operators. Idle for attention is the "
    "waiting that goes when attention is stubbed. On a CPU idle is a lower bound, since the profiler slows "
    "operators down. Launches are kernels, copies and fills of a step, or operators on a CPU."
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. Without profiles the table is empty."""
    try:
        found = profiles(measurements)
    except NotMeasured:
        found = []
    shown = ordered(part for profile in found for part in profile.parts.index)
    return without_empty_columns(pd.DataFrame([_row(profile, shown) for profile in found]))


def _row(profile: Profile, shown: list[str]) -> dict:
    times = profile.parts["value"]
    return {
        "Run": profile.name,
        "Point": profile.point,
        "Launches": Estimate(profile.launches, spec=",d"),
        "Step [ms]": profile.timed,
        "Launched separately [ms]": Estimate(profile.step_ms, spec=".3f") if profile.is_separate else "",
        "Without attention [ms]": profile.without_attention or "",
        **{_heading(part): _cell(profile, part) if part in times else "" for part in shown},
    }


def _cell(profile: Profile, part: str) -> Estimate:
    rate = profile.bytes_per_s(part)
    note = f"{profile.percent(part):.0f} %" + (f", {rate / 1e12:.2f} TB/s" if rate else "")
    return Estimate(profile.parts["value"][part], spec=".3f", note=f"({note})")


def _heading(part: str) -> str:
    return f"{label(part)} [ms]"
