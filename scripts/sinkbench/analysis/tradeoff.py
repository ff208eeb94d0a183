"""Perplexity and time on one footing: what the trade-off between them is read from."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, exact, percent_change, product, ratio
from sinkbench.analysis.select import NotMeasured, at_largest_point, pick, with_fastest_engines

ONE = exact(1.0)


@dataclass(frozen=True)
class Tradeoff:
    """One corpus. `points` has a (row of tpot_ms, TPOT in ms, perplexity) for every method that has both."""

    anchor: str
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
    The perplexity of a method is the anchor's over all its positions, times the paired factor.

    Raises:
        NotMeasured: no times, or no perplexities that are compared with each other.
    """
    anchor, factors = perplexity_factors(measurements, corpus)
    level = exact(pick(measurements, "perplexity", corpus=corpus, method=anchor).iloc[0]["value"])
    times = at_largest_point(with_fastest_engines(pick(measurements, "tpot_ms")))
    points = [
        (row, estimate(row), product(level, factors[row["method"]]))
        for row in times.to_dict("records")
        if row["method"] in factors and not pd.isna(row["budget"])
    ]
    return Tradeoff(anchor, points)


def perplexity_factors(measurements: pd.DataFrame, corpus: str) -> tuple[str, dict[str, Estimate]]:
    """(anchor, perplexity of each method as a multiple of the anchor's), from paired changes.

    The anchor is the method that most others are compared with. A change is measured token by token on the
    positions that both score, so a factor is far more certain than the two perplexities. A method that is
    compared with another one than the anchor is reached through it.
    """
    changes = pick(measurements, "perplexity_change", corpus=corpus)
    anchor, links = changes["against"].value_counts().index[0], list(map(_link, changes.to_dict("records")))
    factors, waiting = {anchor: ONE}, [anchor]
    while waiting:
        known = waiting.pop()
        for method, step in _steps(links, known):
            if method not in factors:
                factors[method] = product(factors[known], step)
                waiting.append(method)
    return anchor, factors


def paired_change(measurements: pd.DataFrame, corpus: str, method: str, baseline: str) -> Estimate:
    """Percent change of a method's perplexity against a baseline; NotMeasured if they are not compared."""
    _, factors = perplexity_factors(measurements, corpus)
    if method not in factors or baseline not in factors:
        raise NotMeasured("")
    return percent_change(ratio(factors[method], factors[baseline]), f"against {baseline} on {corpus}")


def _link(row: dict) -> tuple[str, str, Estimate]:
    """(method, what it is compared with, their factor) of one comparison."""
    change = estimate(row, scale=0.01)
    ends = (None if end is None else 1 + end for end in (change.low, change.high))
    return row["method"], row["against"], Estimate(1 + change.value, *ends)


def _steps(links: list[tuple[str, str, Estimate]], known: str) -> Iterator[tuple[str, Estimate]]:
    """(method, its factor to `known`) of every comparison that `known` takes part in."""
    for method, against, factor in links:
        if against == known:
            yield method, factor
        elif method == known:
            yield against, ratio(ONE, factor)
