"""Int4 cannot run: its path needs a package of kernels that could not be installed."""

import re
from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import FAILS, HOLDS, UNAVAILABLE, UNTESTABLE, Finding
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import quantized, using
from sinkbench.analysis.select import at_common_point, matching, run_name, usable
from sinkbench.results.schema import has_failed

TECHNIQUE = "Quantization"
GPU_ONLY = True
CLAIM = "Int4 weight-only quantization cannot run for want of a kernel package"
EXPERIMENT = (
    "TorchAO's int4 weights, in the tile-packed format that needs no more packages, were scored and decoded "
    "with every engine that the study names. Formats that need fbgemm-gpu-genai or mslk were not tried."
)
THRESHOLD = (
    "no run with TorchAO's int4 weights gives a time or a perplexity, and the status of each names a package "
    "that is missing"
)
WORDS = ("torchao_int4", "torchao_int4_mlp")
MISSING = re.compile(r"no module named|requires \w+ *[><=]|not installed|to be installed|fbgemm|mslk", re.I)


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """What ran, or why nothing did."""
    rows = using(quantized(measurements), *WORDS)
    times = at_common_point(matching(usable(rows), metric="tpot_ms"))
    for row in times.to_dict("records"):
        yield Finding(f"{run_name(row)} takes {estimate(row, unit='ms')} per token", FAILS)
    scored = matching(usable(rows), metric="perplexity")
    for row in scored[scored["document"].isna()].to_dict("records"):
        yield Finding(f"{row['method']} has perplexity {estimate(row)} on {row['corpus']}", FAILS)
    for row in rows[has_failed(rows)].to_dict("records"):
        if row["status"].startswith(UNAVAILABLE):
            verdict = HOLDS if MISSING.search(row["status"]) else UNTESTABLE
            yield Finding(f"{run_name(row)}: {row['status']}", verdict)
