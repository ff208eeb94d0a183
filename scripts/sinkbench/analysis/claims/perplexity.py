"""Streaming loses at most 3-4 % perplexity."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.select import corpora, full_budget, matching, method_of
from sinkbench.analysis.tradeoff import paired_change

TECHNIQUE = "StreamingLLM"
CLAIM = "Streaming keeps the perplexity of a cache that is recomputed for every token"
EXPERIMENT = "Both methods scored the same sampled positions, recomputation by a fresh pass for each of them."
THRESHOLD = "at the full budget at most 4 % above recompute with the same sinks and budget"
LIMIT_PERCENT = 4.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus."""
    budget = full_budget(measurements)
    streaming = method_of(measurements, "streaming", budget=budget)
    sinks = matching(measurements, method=streaming)["sinks"].iloc[0]
    recompute = method_of(measurements, "recompute", budget=budget, sinks=sinks)
    for corpus in corpora(measurements, method=recompute):
        change = paired_change(measurements, corpus, streaming, recompute)
        yield Finding(f"{streaming} {change}", at_most(change, LIMIT_PERCENT))
