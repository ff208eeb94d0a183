"""Speculation over a long stream: whether a draft model goes on being right, under which cache."""

from collections.abc import Iterator
from contextlib import suppress

import pandas as pd

from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.estimate import Estimate, estimate, ratio
from sinkbench.analysis.select import NotMeasured, full_budget, matching, method_of, run_name, usable

TECHNIQUE = "Speculative decoding"
CLAIM = "Speculative decoding is unreliable over long streams"
EXPERIMENT = (
    "A smaller model drafted tokens that the model then verified without changing its output; "
    "both kept caches of the same policy."
)
THRESHOLD = (
    "under streaming at the full budget, greedy and with most drafts a round, at the largest position at "
    "most 0.8 of the share of drafts stays that stays at the smallest"
)
LIMIT = 0.8


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: streaming's; dense attention's change stands beside it where it was measured."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    measured, change = _change(measurements, streaming)
    with suppress(NotMeasured):  # a study may leave dense attention out
        beside, _ = _change(measurements, method_of(measurements, "dense"))
        measured += f"; {beside}"
    yield Finding(measured, at_most(change, LIMIT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What a round yields at the end of the stream, and what it must yield to be worth its time."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    last = _greedy(measurements, streaming, "acceptance_rate").iloc[-1]
    yielded, needed = (
        estimate(_greedy(measurements, streaming, metric).iloc[-1])
        for metric in ("tokens_per_step", "break_even_tokens")
    )
    yield (
        f"a round of {run_name(last)} yields {yielded} tokens at {last['position']:,} "
        f"and takes the time in which {needed} are decoded without drafts"
    )


def _change(measurements: pd.DataFrame, method: str) -> tuple[str, Estimate]:
    """The share of drafts that stay at both ends of the stream, in words, and the last over the first."""
    rows = _greedy(measurements, method, "acceptance_rate")
    first, last = rows.iloc[0], rows.iloc[-1]
    ends = (f"{estimate(row, '.0f', 100, unit='%')} at {row['position']:,}" for row in (first, last))
    return f"{run_name(last)} {' and '.join(ends)} tokens", ratio(estimate(last), estimate(first))


def _greedy(measurements: pd.DataFrame, method: str, metric: str) -> pd.DataFrame:
    """The metric along the stream, greedy and with most drafts a round, on the first engine that has it."""
    rows = matching(usable(measurements), method=method, metric=metric, temperature=0)
    rows = rows[rows["draft_tokens"] == rows["draft_tokens"].max()]
    rows = rows[rows["engine"] == rows["engine"].iloc[:1].squeeze()].sort_values("position")
    if len(rows) < 2:
        raise NotMeasured("")
    return rows
