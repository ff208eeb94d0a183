"""Perplexity stays stable in smaller windows."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import FAILS, HOLDS, Finding, at_most
from sinkbench.analysis.select import NotMeasured, corpora, full_budget, matching, method_of
from sinkbench.analysis.tradeoff import paired_change

TECHNIQUE = "Window size"
CLAIM = "Perplexity is stable when the window is halved, and halved again"
EXPERIMENT = "Streaming at every budget of the study scored the same positions as at the full one."
THRESHOLD = "at each budget below the full one at most 4 % above the full budget"
LIMIT_PERCENT = 4.0
SAID = {HOLDS: "stable", FAILS: "not stable"}


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus and budget, from the largest budget on."""
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    smaller = _smaller(measurements)
    for corpus in corpora(measurements, method=full):
        for method in smaller:
            change = paired_change(measurements, corpus, method, full)
            verdict = at_most(change, LIMIT_PERCENT)
            yield Finding(f"{method} {change}: {SAID.get(verdict, 'undecided')}", verdict)


def _smaller(measurements: pd.DataFrame) -> list[str]:
    """Streaming at each budget below the full one; NotMeasured if there is none."""
    budgets = matching(measurements, policy="streaming")["budget"].dropna().unique()
    sizes = sorted(int(size) for size in budgets if size < full_budget(measurements))
    if not sizes:
        raise NotMeasured("")
    return [method_of(measurements, "streaming", budget=size) for size in reversed(sizes)]
