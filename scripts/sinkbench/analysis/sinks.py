"""Shares of dense attention that go to a text's first tokens, and streaming by how many of those it keeps."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.quantization_gains import PLAIN
from sinkbench.analysis.select import matching, pick, usable

STATISTICS = {"least": "sink_share_min", "median": "sink_share_median", "most": "sink_share_max"}


def shares(measurements: pd.DataFrame) -> pd.DataFrame:
    """A row for each layer and number of first tokens (position), with a column for each of STATISTICS.

    Raises:
        NotMeasured: there are none.
    """
    rows = pick(measurements, STATISTICS["median"])[["layer", "position", "n"]]
    for name, metric in STATISTICS.items():
        values = matching(usable(measurements), metric=metric).set_index(["layer", "position"])["value"]
        rows = rows.join(values.rename(name), on=["layer", "position"])
    return rows.sort_values(["layer", "position"]).reset_index(drop=True)


def sweep(measurements: pd.DataFrame) -> dict[tuple[int, str], dict[int, Estimate]]:
    """Perplexity by number of sinks, by budget and corpus: of plain caches that differ in nothing else.

    A window without sinks is a cache with none. Only budgets with several numbers of sinks count.
    """
    rows = matching(usable(measurements), metric="perplexity", quantization=PLAIN)
    rows = rows[rows["document"].isna() & rows["policy"].isin(["streaming", "window"])]
    found = {}
    for key, part in rows.groupby(["budget", "corpus"], sort=False):
        first = part[part["dtype"] == part["dtype"].iloc[0]].to_dict("records")
        numbers = {int(row["sinks"]): estimate(row) for row in first}
        if len(numbers) > 1:
            found[int(key[0]), key[1]] = numbers
    return found
