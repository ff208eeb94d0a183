"""Profiles of decode steps from the table of measurements, for the table, the figure and the claim."""

from dataclasses import dataclass

import pandas as pd

from sinkbench.analysis.select import PROFILE, RUN, NotMeasured, matching, run_name, statuses, usable
from sinkbench.results.step_parts import ordered


@dataclass(frozen=True)
class Profile:
    """Where the time of a run's step goes.

    Args:
        row: the run, as a row of measurements.
        parts: value, low and high in ms (columns) of its parts (index), ordered as in `parts`.
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
        return f"{self.row['kind']} {int(self.row['position']):,}"

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


def _profile(rows: pd.DataFrame) -> Profile:
    parts = matching(rows, metric="part_ms").set_index("part")[["value", "low", "high"]]
    launches = matching(rows, metric="launches_per_step")["value"].iloc[0]
    return Profile(rows.iloc[0].to_dict(), parts.loc[ordered(parts.index)], int(launches))
