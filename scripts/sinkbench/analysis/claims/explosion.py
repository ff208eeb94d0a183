"""Why a long stream needs a cache policy at all: dense attention beyond what the model was trained on."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.estimate import Estimate, ratio
from sinkbench.analysis.select import NotMeasured, full_budget, method_of, pick

TECHNIQUE = "Dense attention"
CLAIM = "Dense attention breaks down beyond the trained length"
EXPERIMENT = "Dense attention read documents far past the trained length, and every token was scored."
THRESHOLD = "perplexity beyond the full budget (in studies the trained length) at least 2 times that before"
LIMIT = 2.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus."""
    length = full_budget(measurements)
    bins = pick(measurements, "perplexity_bin", method=method_of(measurements, "dense"))
    for corpus, rows in bins.groupby("corpus", sort=False):
        beyond = rows["position"] >= length
        if beyond.all() or not beyond.any():
            raise NotMeasured("")
        before, after = _pooled(rows[~beyond]), _pooled(rows[beyond])
        measured = f"dense {before} before and {after} beyond {length:,} tokens on {corpus}"
        yield Finding(measured, at_least(ratio(after, before), LIMIT))


def _pooled(bins: pd.DataFrame) -> Estimate:
    """Perplexity of several bins together; its interval pools all low or all high ends, which is cautious."""
    weights = bins["n"].astype(float)
    ends = (
        np.exp(np.average(np.log(bins[name].astype(float)), weights=weights))
        for name in ("value", "low", "high")
    )
    return Estimate(*ends, spec=",.1f")
