"""The engine that the hypothesis under test speaks of, on which its claims of speed are decided."""

import pandas as pd

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
    failed = matching(measurements, method=method)
    failed = failed[failed["engine"].isin(HYPOTHESIS_ENGINES)]
    raise NotMeasured("; ".join(statuses(failed).values()))
