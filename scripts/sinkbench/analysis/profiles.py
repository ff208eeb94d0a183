"""Profiles of decode steps from the table of measurements, and the share of a step that some parts take."""

from dataclasses import dataclass

import pandas as pd

from sinkbench.analysis.estimate import Estimate
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

HYPOTHESIS_ENGINES = (
    "eager",
    "paper",
)  # inside transformers and not compiled, the nearer one first


@dataclass(frozen=True)
class Profile:
    """Where the time of a run's step goes.

    Args:
        row: the run, as a row of measurements.
        parts: value, low and high in ms (columns) of its parts (index), ordered as in `step_parts`.
        launches: kernels of a step (CUDA), or operators (CPU).
    """

    row: dict
    parts: pd.DataFrame
    launches: int

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
        """The whole step."""
        return float(self.parts["value"].sum())

    def percent(self, part: str) -> float:
        """Share of the step; 0 for a part that it does not have."""
        return 100 * float(self.parts["value"].get(part, 0.0)) / self.step_ms


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
    """Profiles of streaming at its full budget: the eager engine, and the fastest engine if that is another.

    Raises:
        NotMeasured: no eager engine was profiled.
    """
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    found = {p.row["engine"]: p for p in profiles(single_stream(measurements), method=streaming)}
    eager = next((found[engine] for engine in HYPOTHESIS_ENGINES if engine in found), None)
    if eager is None:
        raise NotMeasured("")
    fastest = min(found.values(), key=lambda profile: profile.step_ms)
    return [eager] if fastest is eager else [eager, fastest]


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
    return Profile(rows.iloc[0].to_dict(), parts.loc[ordered(parts.index)], int(launches))


def _is_partly_named(part: str, words: tuple[str, ...]) -> bool:
    return part in words or any(word in words for word in members(part))


def _percent(named: float, rest: float) -> float:
    return 100 * named / (named + rest)
