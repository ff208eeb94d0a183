"""What the attention sinks are worth: window-only against streaming in a small cache."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.select import corpora, full_budget, method_of
from sinkbench.analysis.tradeoff import paired_change

TECHNIQUE = "StreamingLLM"
CLAIM = "Without its attention sinks a small window loses perplexity"
EXPERIMENT = "The same number of cached tokens with and without sinks scored the same positions."
THRESHOLD = "at a quarter of the full budget at least 10 % above streaming with the same budget"
LIMIT_PERCENT = 10.0
SHARE = 4


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus."""
    budget = full_budget(measurements) // SHARE
    streaming = method_of(measurements, "streaming", budget=budget)
    window = method_of(measurements, "window", budget=budget)
    for corpus in corpora(measurements, method=window):
        change = paired_change(measurements, corpus, window, streaming)
        yield Finding(f"{window} {change}", at_least(change, LIMIT_PERCENT))
