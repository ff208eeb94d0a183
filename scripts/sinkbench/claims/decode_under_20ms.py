"""The brief's first finding: decoding already takes less than 20 ms a token."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.cells import estimate
from sinkbench.claims import Finding, at_most
from sinkbench.readings import fastest, full_budget, method_of, pick, run_name

CLAIM = "Streaming decodes in less than 20 ms a token"
THRESHOLD = "TPOT at the full budget at most 20 ms"
LIMIT_MS = 20.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the fastest engine at the full budget."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    row = fastest(pick(measurements, "tpot_ms", method=streaming))
    tpot = estimate(row, unit="ms", note=f"on {row['device']}")
    yield Finding(f"{run_name(row)} {tpot}", at_most(tpot, LIMIT_MS))
