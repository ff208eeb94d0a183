"""Why a long stream needs a cache policy at all: dense attention beyond what the model was trained on."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.select import method_of, pick

TECHNIQUE = "Dense attention"
CLAIM = "Dense attention breaks down beyond the trained length"
EXPERIMENT = "Dense attention read documents far past the trained length, and every token was scored."
THRESHOLD = "perplexity beyond the length that the model was trained on at least 2 times that before"
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus; NotMeasured unless dense attention read past the trained length."""
    dense = method_of(measurements, "dense")
    for row in pick(measurements, "perplexity_beyond_ratio", method=dense).to_dict("records"):
        where = {"method": dense, "corpus": row["corpus"]}
        sides = (pick(measurements, f"perplexity_{side}", **where) for side in ("within", "beyond"))
        before, after = (estimate(rows.iloc[0].to_dict(), ",.1f") for rows in sides)
        factor = estimate(row, unit="times")
        measured = f"{dense} {before} before and {after} beyond {row['position']:,} tokens on {row['corpus']}"
        yield Finding(f"{measured}, {factor} as high", at_least(factor, LIMIT))
