"""Streaming is much faster than dense attention at long contexts."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time
from sinkbench.analysis.claims import FAILS, HOLDS, UNDECIDED, Finding, at_least
from sinkbench.analysis.dense_baselines import dense_baselines
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.select import (
    at_largest_point,
    fastest,
    full_budget,
    matching,
    method_of,
    pick,
    run_name,
    single_stream,
    usable,
)

TECHNIQUE = "StreamingLLM"
CLAIM = "Streaming is much faster than dense attention at long contexts"
EXPERIMENT = "Streaming and dense attention were decoded at the same length of text."
THRESHOLD = (
    "at the full budget at least 2 times dense decoding's speed, at the largest length both were timed at; "
    "on the fastest engine that decoded both, so that no speed-up of an engine passes for one of the policy; "
    "the other engines that decoded both are named beside it"
)
LIMIT = 2.0
REACHED = {HOLDS: "reached on", UNDECIDED: "undecided on", FAILS: "not reached on"}


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget, of those that decoded both if any did; and the others."""
    ratios = _ratios(measurements)
    for row in _deciding(measurements, ratios):
        speedup = estimate(row, unit="times", note=_note(row))
        said = [f"{run_name(row)} {speedup}", *_beside(measurements, ratios, row), *_agreement(ratios)]
        yield Finding("; ".join(said), at_least(speedup, LIMIT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What a step of both must read."""
    for row in _deciding(measurements, _ratios(measurements)):
        yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _ratios(measurements: pd.DataFrame) -> pd.DataFrame:
    """Speed-ups at the full budget over dense runs; the column `shared`: whether one engine ran both."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    dense = matching(measurements, method=method_of(measurements, "dense"))
    engines = {run_name(row): row["engine"] for row in single_stream(dense).to_dict("records")}
    rows = pick(measurements, "speedup", method=streaming)
    rows = rows[rows["against"].isin(engines)]
    return rows.assign(shared=rows["engine"] == rows["against"].map(engines))


def _deciding(measurements: pd.DataFrame, ratios: pd.DataFrame) -> list[dict]:
    """The speed-up that decides: without an engine that decoded both, that over the strongest baseline."""
    rows = ratios[ratios["shared"]]
    if rows.empty:
        named = [base.name for base in dense_baselines(usable(measurements))]
        rows = ratios[ratios["against"] == next(filter(set(ratios["against"]).__contains__, named), None)]
    if rows.empty:
        return []
    times = pick(measurements, "tpot_ms", method=rows["method"].iloc[0])
    engine = fastest(times[times["engine"].isin(rows["engine"])])["engine"]
    return at_largest_point(matching(rows, engine=engine)).to_dict("records")


def _beside(measurements: pd.DataFrame, ratios: pd.DataFrame, row: dict) -> Iterator[str]:
    """The same run over the other baselines, where it was compared with them."""
    here = matching(ratios, engine=row["engine"], position=row["position"])
    for base in dense_baselines(usable(measurements)):
        for other in matching(here, against=base.name).to_dict("records"):
            if base.name != row["against"]:
                yield f"{estimate(other, unit='times', note=f'that of {base.name}')}"


def _agreement(ratios: pd.DataFrame) -> Iterator[str]:
    """On which engines the policy alone gains so much, with each one's ratio; nothing if there is one."""
    rows = at_largest_point(ratios[ratios["shared"]]).sort_values("value", ascending=False)
    if len(rows) < 2:
        return
    shares = {row["engine"]: estimate(row) for row in rows.to_dict("records")}
    for verdict, words in REACHED.items():
        own = [f"{name} {share}" for name, share in shares.items() if at_least(share, LIMIT) == verdict]
        if own:
            yield f"{LIMIT:g} times by the policy alone {words} {', '.join(own)}"


def _note(row: dict) -> str:
    return f"the speed of {row['against']} at {row['position']:,} tokens"
