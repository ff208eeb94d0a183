"""How many sinks a cache needs: what dense attention gives to that many first tokens, and perplexities."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, without_empty_columns
from sinkbench.analysis.select import NotMeasured, matching
from sinkbench.analysis.sinks import shares, sweep

TITLE = "Sinks: attention to the first tokens beside perplexity"
CATEGORY = "streaming"
CAPTION_FIELDS = ("confidence",)
CAPTION = (
    "A row for each number of first tokens. Attention is the share of dense attention, in %, that goes to so "
    "many first tokens: the median over heads, in the layer with the least, the median layer and the layer "
    "with the most. Perplexity is that of a cache which keeps so many first tokens as sinks, at an equal "
    "budget of tokens; with 0 it is the window alone. Brackets are {confidence} % intervals over blocks of "
    "tokens."
)
OVER_LAYERS = {"least": "min", "median": "median", "most": "max"}


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. Without shares and without caches that differ in sinks alone, the table is empty."""
    try:
        found = shares(measurements)
    except NotMeasured:
        found = pd.DataFrame(columns=["position", "median"])
    caches = sweep(measurements)
    counts = sorted({*map(int, found["position"]), *(count for each in caches.values() for count in each)})
    return without_empty_columns(pd.DataFrame([_row(count, found, caches) for count in counts]))


def _row(count: int, found: pd.DataFrame, caches: dict) -> dict:
    """One number of first tokens."""
    medians = matching(found, position=count)["median"]
    layers = {f"Attention, {name} layer [%]": _percent(medians, how) for name, how in OVER_LAYERS.items()}
    cells = {
        f"Perplexity on {corpus} at {budget:,} tokens": numbers.get(count, "")
        for (budget, corpus), numbers in caches.items()
    }
    return {"First tokens": Estimate(count, spec="d"), **layers, **cells}


def _percent(shares_of_layers: pd.Series, how: str) -> Estimate | str:
    return "" if shares_of_layers.empty else Estimate(100 * shares_of_layers.agg(how), spec=".1f")
