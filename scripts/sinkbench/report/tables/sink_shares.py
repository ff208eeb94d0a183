"""Where dense attention goes, layer by layer."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.select import NotMeasured, matching
from sinkbench.analysis.sinks import STATISTICS, shares

TITLE = "Share of attention to the first tokens, by layer"
CATEGORY = "streaming"
CAPTION_FIELDS = ()
CAPTION = (
    "Share of dense attention, in %, that a query gives to the first token and to the first four tokens of a "
    "text. Each share is a mean over the queries of the second half of a text, and over documents. Columns "
    "are the head of the layer with the least, the median of its heads, and the head with the most. Equal "
    "attention would give a query one share a token that it sees. Layers count from 0."
)
SHOWN = (1, 4)  # first tokens


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. Without such shares the table is empty."""
    try:
        found = shares(measurements)
    except NotMeasured:
        return pd.DataFrame()
    return pd.DataFrame([_row(layer, rows) for layer, rows in found.groupby("layer")])


def _row(layer: int, rows: pd.DataFrame) -> dict:
    """One layer's."""
    cells = {"Layer": Estimate(int(layer), spec="d")}
    for first in SHOWN:
        row = matching(rows, position=first).iloc[0]
        tokens = "first token" if first == 1 else f"first {first}"
        cells |= {f"{tokens}, {name} [%]": Estimate(100 * row[name], spec=".1f") for name in STATISTICS}
    return cells
