"""Sentences that say why a result is as it is, from numbers that were measured beside it."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.estimate import estimate, ratio
from sinkbench.analysis.select import NotMeasured, matching, pick, run_name

MEGA = 1e6
NOTICEABLE = 1.1  # times as long; gpu_state asks as much of a repetition


def bytes_and_time(measurements: pd.DataFrame, name: str, against: str, position: int) -> Iterator[str]:
    """What a step of one run must read and how long it takes, against a step of another; and their hosts.

    Args:
        name, against: runs (select.run_name).
        position: where both were timed; a run timed by its budget has one step for all positions.
    """
    read, other_read = (_at(measurements, "bytes_per_step", run, position) for run in (name, against))
    time, other_time = (_at(measurements, "tpot_ms", run, position) for run in (name, against))
    bytes_read = read["value"] / other_read["value"]
    yield (
        f"a step of {name} must read {_mega(read)} and takes {estimate(time, unit='ms')}, one of {against} "
        f"{_mega(other_read)} and {estimate(other_time, unit='ms')}: {bytes_read:.2f} times the bytes in "
        f"{ratio(estimate(time), estimate(other_time))} times the time"
    )
    yield from hosts(measurements, name, against, position)


def hosts(measurements: pd.DataFrame, name: str, against: str, position: int) -> Iterator[str]:
    """That the host was slower or faster beside one run than beside the other, if it was noticeably so."""
    try:
        own, other = (estimate(_at(measurements, "host_ms", run, position)) for run in (name, against))
    except NotMeasured:
        return
    slower = ratio(own, other)
    low, high = slower.bounds
    if low > NOTICEABLE or high < 1 / NOTICEABLE:
        yield (
            f"beside {name} the host took {slower} times as long for the same Python as beside "
            f"{against}, which engines that launch kernel after kernel wait for"
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
    here = pd.concat([matching(rows, position=position), matching(rows, position_kind="budget")])
    if here.empty:
        raise NotMeasured("")
    return here.iloc[0].to_dict()


def _mega(row: dict) -> str:
    return f"{row['value'] / MEGA:,.1f} MB"
