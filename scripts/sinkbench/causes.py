"""Sentences that say why a result is as it is, from numbers that were measured beside it."""

import pandas as pd

from sinkbench.cells import estimate, ratio
from sinkbench.readings import NotMeasured, matching, pick, run_name

MEGA = 1e6


def bytes_and_time(measurements: pd.DataFrame, name: str, against: str, position: int) -> str:
    """What a step of one run must read and how long it takes, against a step of another.

    Args:
        name, against: runs (readings.run_name).
        position: where both were timed; a run timed by its budget has one step for all positions.
    """
    read, other_read = (_at(measurements, "bytes_per_step", run, position) for run in (name, against))
    time, other_time = (_at(measurements, "tpot_ms", run, position) for run in (name, against))
    bytes_read = read["value"] / other_read["value"]
    return (
        f"a step of {name} must read {_mega(read)} and takes {estimate(time, unit='ms')}, one of {against} "
        f"{_mega(other_read)} and {estimate(other_time, unit='ms')}: {bytes_read:.2f} times the bytes in "
        f"{ratio(estimate(time), estimate(other_time)).number} times the time"
    )


def floor(measurements: pd.DataFrame, name: str, position: int) -> str:
    """The least time that a step's bytes take at the bandwidth measured beside it."""
    read, least, share = (
        _at(measurements, metric, name, position) for metric in ("bytes_per_step", "floor_ms", "mbu")
    )
    return (
        f"the {_mega(read)} that a step of {name} must read take {estimate(least, unit='ms')} at the "
        f"bandwidth measured beside it, {estimate(share, '.0f', 100, unit='%')} of its time"
    )


def _at(measurements: pd.DataFrame, metric: str, name: str, position: int) -> dict:
    """The metric's row of a run, at a position or by its budget."""
    rows = pick(measurements, metric)
    rows = rows[[run_name(row) == name for row in rows.to_dict("records")]]
    here = pd.concat([matching(rows, position=position), matching(rows, kind="budget")])
    if here.empty:
        raise NotMeasured("")
    return here.iloc[0].to_dict()


def _mega(row: dict) -> str:
    return f"{row['value'] / MEGA:,.1f} MB"
