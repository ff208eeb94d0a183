"""The brief's compile: without CUDA graphs it gives a small gain."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.ablations import CompiledRun, compiled_runs
from sinkbench.claims import Finding, at_least, at_most, worst
from sinkbench.readings import NotMeasured, full_budget, method_of, run_name

CLAIM = "Compiling without CUDA graphs gives a small gain"
THRESHOLD = (
    "at the full budget the fastest mode of torch.compile without CUDA graphs at least 1.05 and at most 1.5 "
    "times the speed of the same step uncompiled"
)
LEAST, MOST = 1.05, 1.5
WITH_GRAPHS = ("compiled_graph", "compiled_reduce_overhead")


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the mode that gains most."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    runs = [run for run in compiled_runs(measurements) if run.row["method"] == streaming]
    gaining = [run for run in runs if run.gain and run.seconds and run.row["engine"] not in WITH_GRAPHS]
    if not gaining:
        raise NotMeasured("")
    best = max(gaining, key=lambda run: run.gain.value)
    yield Finding(_sentence(best), worst([at_least(best.gain, LEAST), at_most(best.gain, MOST)]))


def _sentence(run: CompiledRun) -> str:
    after = run.pays_after_tokens
    paid = f"paid for after {after:,.0f} tokens" if after else "never paid for"
    return f"{run_name(run.row)} {run.gain} times; {run.seconds:.0f} s of compiling, {paid}"
