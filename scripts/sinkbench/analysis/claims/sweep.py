"""Perplexity stays stable in smaller windows."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.select import corpora, full_budget, method_of
from sinkbench.analysis.tradeoff import paired_change

TECHNIQUE = "Window size"
CLAIM = "Perplexity is stable when the window is halved"
EXPERIMENT = "Streaming at half its full budget scored the same positions as at the full one."
THRESHOLD = "at half the full budget at most 4 % above the full budget"
LIMIT_PERCENT = 4.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus."""
    budget = full_budget(measurements)
    full, half = (method_of(measurements, "streaming", budget=size) for size in (budget, budget // 2))
    for corpus in corpora(measurements):
        change = paired_change(measurements, corpus, half, full)
        yield Finding(f"{half} {change}", at_most(change, LIMIT_PERCENT))
