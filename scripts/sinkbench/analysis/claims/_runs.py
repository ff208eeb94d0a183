"""The runs that a claim of speed is decided on, and those that could not be timed."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import NOT_YET, Finding
from sinkbench.analysis.profiles import HYPOTHESIS_ENGINES
from sinkbench.analysis.select import NotMeasured, matching, statuses


def on_its_engine(measurements: pd.DataFrame, rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """Those of a method's rows that are of the hypothesis' engine (launched kernel by kernel).

    Raises:
        NotMeasured: no such engine has any; with the status of those that failed.
    """
    for engine in HYPOTHESIS_ENGINES:
        if len(own := matching(rows, method=method, engine=engine)):
            return own
    raise NotMeasured("; ".join(failed(matching(measurements, method=method), HYPOTHESIS_ENGINES).values()))


def failed(rows: pd.DataFrame, engines: tuple[str, ...] | None = None) -> dict[str, str]:
    """Status, by name, of every run that has no time; of these engines alone, if any are named."""
    timed = matching(rows, metric="tpot_ms")
    return statuses(timed if engines is None else timed[timed["engine"].isin(engines)])


def beside(rows: pd.DataFrame, engines: tuple[str, ...] | None = None) -> Iterator[Finding]:
    """A finding for each of them: it decides nothing, but what is not measured yet may still refute."""
    for name, status in failed(rows, engines).items():
        yield Finding(f"{name}: {status}", NOT_YET if status == NOT_YET else "")
