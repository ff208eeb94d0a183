"""Runs that speculate: the fastest, beside the fastest without drafts, and what a round is made of."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, exact, product, ratio
from sinkbench.analysis.select import RUN, NotMeasured, fastest, matching, pick, run_name, statuses, usable

PER_TOKEN, PER_ROUND = "tpot_ms", "round_ms"  # drafts of random weights have times of rounds alone


def fastest_drafted(measurements: pd.DataFrame, method: str) -> list[tuple[dict, int]]:
    """(time at the largest position, of how many runs) of the fastest run with drafts, by temperature.

    The time is of a token; where no draft was judged it is of a round, and as fast as if every draft stayed.

    Raises:
        NotMeasured: no run has a time; with the statuses of those that failed.
    """
    own = matching(measurements, method=method, family="speculation")
    own = own[own["drafts"].notna()]
    timed = [matching(usable(own), metric=metric) for metric in (PER_TOKEN, PER_ROUND)]
    rows = timed[0] if len(timed[0]) else timed[1]
    if rows.empty:
        raise NotMeasured("; ".join(statuses(own).values()))
    tokens = rows["draft_tokens"] + 1 if rows is timed[1] else 1
    rows = rows.assign(token=rows["value"] / tokens)
    ends = rows[rows["position"] == rows["position"].max()].sort_values("token", kind="stable")
    return [(runs.iloc[0].to_dict(), len(runs)) for _, runs in ends.groupby("temperature")]


def fastest_undrafted(measurements: pd.DataFrame, run: dict) -> dict:
    """TPOT of the fastest engine without drafts, of a run's method and at its point."""
    return fastest(pick(measurements, "tpot_ms", method=run["method"], position=run["position"]))


def kept(measurements: pd.DataFrame, run: dict) -> tuple[str, Estimate]:
    """The share of drafts that stay at both ends of the stream, in words, and the last over the first."""
    own = matching(usable(measurements), metric="acceptance_rate", **{name: run[name] for name in RUN})
    own = own.sort_values("position")
    if len(own) < 2:
        raise NotMeasured("")
    first, last = own.iloc[0], own.iloc[-1]
    change = ratio(estimate(last), estimate(first))
    ends = (f"{estimate(row, '.0f', 100, unit='%')} at {row['position']:,}" for row in (first, last))
    return f"{run_name(run)} keeps {' and '.join(ends)} tokens, {change} times the share", change


def at_most_gains(measurements: pd.DataFrame, run: dict) -> tuple[str, Estimate]:
    """What the speed would be if every draft stayed, over the fastest engine's without drafts; in words."""
    rival, takes = fastest_undrafted(measurements, run), _of_round(measurements, run, PER_ROUND)
    speed = product(exact(run["draft_tokens"] + 1), ratio(estimate(rival), takes))
    return f"if every draft stayed, {run_name(run)} had {speed} times the speed of {run_name(rival)}", speed


def a_round(measurements: pd.DataFrame, run: dict) -> str:
    """What a round yields, takes, and must yield to be worth its time; NotMeasured of random weights."""
    metrics = ("tokens_per_step", PER_ROUND, "break_even_tokens")
    yielded, takes, needed = (_of_round(measurements, run, metric) for metric in metrics)
    return (
        f"a round of {run_name(run)} yields {yielded} tokens and takes {takes} ms, the time in which "
        f"{needed} are decoded without drafts on the same engine{_looped(measurements, run)}"
    )


def _looped(measurements: pd.DataFrame, run: dict) -> str:
    """How many of the texts became loops, which flatter drafts; nothing where no text was long enough."""
    where = {name: run[name] for name in (*RUN, "position")}
    rows = matching(usable(measurements), metric="loops", **where)
    return "".join(
        f"; of {row.n} texts that it went on with {row.value:.0f} became loops" for row in rows.itertuples()
    )


def costs(measurements: pd.DataFrame, run: dict) -> Iterator[str]:
    """What a drafted token and the verification take, where rounds of fewer and of more drafts were timed.

    Two rounds differ by their drafts, where a verification takes the same time whatever their number. That
    is said of a draft model alone: a lookup proposes them all at once, and in some rounds none.
    """
    where = {name: run[name] for name in ("method", "temperature", "position", "batch")} | {"drafts": "model"}
    rounds = matching(usable(measurements), metric=PER_ROUND, **where).sort_values("draft_tokens")
    rounds = rounds[rounds["engine"].str.partition("-")[0] == run["engine"].partition("-")[0]]
    if run["drafts"] == "lookup" or rounds["draft_tokens"].nunique() < 2:
        return
    few, many = (int(rounds["draft_tokens"].iloc[end]) for end in (0, -1))
    less, more = (estimate(rounds.iloc[end]) for end in (0, -1))
    draft = _scaled(_difference(more, less), 1 / (many - few))
    verification = _difference(less, _scaled(draft, few))
    yield (
        f"by its rounds of {few} and {many} drafts, a drafted token takes {draft} ms and the verification "
        f"{verification} ms"
    )


def _of_round(measurements: pd.DataFrame, run: dict, metric: str) -> Estimate:
    where = {name: run[name] for name in (*RUN, "position")}
    rows = matching(usable(measurements), metric=metric, **where)
    if rows.empty:
        raise NotMeasured("")
    return estimate(rows.iloc[0])


def _difference(first: Estimate, second: Estimate) -> Estimate:
    """first - second; the interval joins the far ends."""
    ends = (None, None)
    if first.interval and second.interval:
        ends = first.low - second.high, first.high - second.low
    return Estimate(first.value - second.value, *ends, mark=first.mark or second.mark)


def _scaled(number: Estimate, factor: float) -> Estimate:
    ends = (None if end is None else factor * end for end in (number.low, number.high))
    return Estimate(factor * number.value, *ends, mark=number.mark)
