"""Perplexity and time on one footing: what the trade-off between them is read from."""

from dataclasses import dataclass, replace

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, exact
from sinkbench.analysis.select import (
    NotMeasured,
    at_largest_point,
    full_budget,
    method_of,
    pick,
    with_fastest_engines,
)


@dataclass(frozen=True)
class Tradeoff:
    """One corpus. `points` has a (row of tpot_ms, TPOT in ms, perplexity) for every method that has both."""

    points: list[tuple[dict, Estimate, Estimate]]

    @property
    def frontier(self) -> list[dict]:
        """Rows of the points that no other one beats in both, from the fastest on."""
        best, kept = float("inf"), []
        for row, _, perplexity in sorted(self.points, key=lambda point: (point[1].value, point[2].value)):
            if perplexity.value < best:
                best = perplexity.value
                kept.append(row)
        return kept


def tradeoff(measurements: pd.DataFrame, corpus: str) -> Tradeoff:
    """Every method's time on its fastest engine, at its largest timed point, and its perplexity.

    Methods capped in length (no budget) are left out: their perplexity is over other positions.
    The perplexity of a method is that of streaming at the full budget over all its positions, scaled by the
    paired change against it.

    Raises:
        NotMeasured: no times, or no perplexities that are compared with streaming at the full budget.
    """
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    changes = changes_against(measurements, corpus, full)
    level = pick(measurements, "perplexity", corpus=corpus, method=full).iloc[0]["value"]
    times = at_largest_point(with_fastest_engines(pick(measurements, "tpot_ms")))
    points = [
        (row, estimate(row), scaled(level, changes[row["method"]]))
        for row in times.to_dict("records")
        if row["method"] in changes and not pd.isna(row["budget"])
    ]
    return Tradeoff(points)


def changes_against(measurements: pd.DataFrame, corpus: str, baseline: str) -> dict[str, Estimate]:
    """Percent change of every method's perplexity against a baseline, which is itself the first.

    Each is measured token by token on the positions that both score; none is derived from others.

    Raises:
        NotMeasured: nothing is compared with the baseline on this corpus.
    """
    rows = pick(measurements, "perplexity_change", corpus=corpus, against=baseline).to_dict("records")
    changes = {row["method"]: estimate(row, "+z.2f", unit="%") for row in rows}
    return {baseline: replace(exact(0.0), spec="+z.2f", unit="%")} | changes


def paired_change(measurements: pd.DataFrame, corpus: str, method: str, baseline: str) -> Estimate:
    """Percent change of a method's perplexity against a baseline; NotMeasured if they are not compared."""
    changes = changes_against(measurements, corpus, baseline)
    if method not in changes:
        raise NotMeasured("")
    return replace(changes[method], note=f"against {baseline} on {corpus}")


def scaled(level: float, change: Estimate) -> Estimate:
    """The number that lies a change, in percent, above `level`; its interval is the change's."""
    value, low, high = (level * (1 + percent / 100) for percent in (change.value, *change.bounds))
    return Estimate(value, low, high)
