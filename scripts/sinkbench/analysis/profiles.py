"""Profiles of decode steps from the table of measurements, and the share of a step that some parts take."""

from dataclasses import dataclass, replace

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, ratio
from sinkbench.analysis.select import (
    PROFILE,
    RUN,
    NotMeasured,
    full_budget,
    matching,
    method_of,
    run_name,
    single_stream,
    statuses,
    usable,
)
from sinkbench.results.step_parts import label, members, ordered

HYPOTHESIS_ENGINES = ("eager", "paper")  # launched kernel by kernel, the nearer one first


@dataclass(frozen=True)
class Profile:
    """Where the time of a run's step goes.

    Args:
        row: the run, as a row of measurements.
        timed: its unprofiled step in ms.
        parts: value, low and high in ms (columns) of its parts (index), ordered as in `step_parts`.
        launches: kernels of a step (CUDA), or operators (CPU).
        part_bytes: that the kernels of a part must read in a step, where the engine knows them.
        without_attention: the step with attention stubbed in ms; None where the host launches a step at once.
        is_separate: whether the parts are of separate launches, so that they add up to another step.
    """

    row: dict
    timed: Estimate
    parts: pd.DataFrame
    launches: int
    part_bytes: dict[str, float]
    without_attention: Estimate | None
    is_separate: bool

    @property
    def name(self) -> str:
        """The run's name."""
        return run_name(self.row)

    @property
    def point(self) -> str:
        """Where it was taken: a stream position, a context, or the budget of a recomputed cache."""
        return f"{self.row['position_kind']} {int(self.row['position']):,}"

    @property
    def step_ms(self) -> float:
        """The step that the parts add up to."""
        return float(self.parts["value"].sum())

    def percent(self, part: str) -> float:
        """Share of the step; 0 for a part that it does not have."""
        return 100 * float(self.parts["value"].get(part, 0.0)) / self.step_ms

    def bytes_per_s(self, part: str) -> float | None:
        """How fast the part's kernels read what they must; None where the engine does not know."""
        nbytes = self.part_bytes.get(part)
        return nbytes and 1e3 * nbytes / float(self.parts["value"][part])


def profiles(measurements: pd.DataFrame, **where) -> list[Profile]:
    """Those of all runs in the study's order, or of the runs whose columns have these values.

    Raises:
        NotMeasured: the study has none.
    """
    valid = matching(usable(measurements), **where)
    valid = valid[valid["metric"].isin(PROFILE)]
    if valid.empty:
        raise NotMeasured("; ".join(statuses(matching(measurements, **where)).values()) if where else "")
    return [_profile(rows) for _, rows in valid.groupby(RUN, sort=False, dropna=False)]


def hypothesis_profiles(measurements: pd.DataFrame) -> list[Profile]:
    """Profiles of streaming at its full budget: the eager engine, then all others.

    Raises:
        NotMeasured: no eager engine was profiled, or none with its attention stubbed.
    """
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    found = {p.row["engine"]: p for p in profiles(single_stream(measurements), method=streaming)}
    eager = next((found.pop(engine) for engine in HYPOTHESIS_ENGINES if engine in found), None)
    if eager is None or eager.without_attention is None:
        raise NotMeasured("")
    return [eager, *found.values()]


def speed_without_attention(profile: Profile) -> Estimate:
    """Speed with attention stubbed over that of the step as it is."""
    return replace(ratio(profile.timed, profile.without_attention), unit="times as fast")


def share(profile: Profile, words: tuple[str, ...]) -> Estimate:
    """Percent of the step in the parts `words`.

    The interval joins the far ends, which is cautious; a launch that does some of a named part's work beside
    another part's counts for nothing at the lower end and in full at the upper one.
    """
    ends = profile.parts.astype(float)
    ends = ends.fillna({"low": ends["value"], "high": ends["value"]})
    named, partly = ends.index.isin(words), ends.index.map(lambda part: _is_partly_named(part, words))
    low = _percent(ends["low"][named].sum(), ends["high"][~named].sum())
    high = _percent(ends["high"][partly].sum(), ends["low"][~partly].sum())
    value = _percent(ends["value"][named].sum(), ends["value"][~named].sum())
    return Estimate(value, low, high, spec=".0f", unit="%", note=f"of {profile.step_ms:,.2f} ms")


def share_sentence(profile: Profile, words: tuple[str, ...]) -> str:
    """The share, and those of the parts that make it up."""
    shown = [part for part in profile.parts.index if _is_partly_named(part, words)]
    shares = ", ".join(f"{label(part)}: {profile.percent(part):.0f} %" for part in shown)
    return f"{profile.name} {share(profile, words)} ({shares})"


def _profile(rows: pd.DataFrame) -> Profile:
    parts = matching(rows, metric="part_ms").set_index("part")[["value", "low", "high"]]
    launches = matching(rows, metric="launches_per_step")["value"].iloc[0]
    read = matching(rows, metric="part_bytes").set_index("part")["value"].to_dict()
    timed, stubbed, separate = (
        next((estimate(row, ".3f") for row in matching(rows, metric=metric).to_dict("records")), None)
        for metric in ("step_ms", "step_without_attention_ms", "step_separate_ms")
    )
    ordered_parts = parts.loc[ordered(parts.index)]
    return Profile(
        rows.iloc[0].to_dict(), timed, ordered_parts, int(launches), read, stubbed, separate is not None
    )


def _is_partly_named(part: str, words: tuple[str, ...]) -> bool:
    return part in words or any(word in words for word in members(part))


def _percent(named: float, rest: float) -> float:
    return 100 * named / (named + rest)
