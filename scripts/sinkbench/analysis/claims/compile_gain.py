"""torch.compile without CUDA graphs gives a small gain."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.ablations import CompiledRun, compiled_runs
from sinkbench.analysis.causes import floor, hosts
from sinkbench.analysis.claims import Finding, at_least, at_most, worst
from sinkbench.analysis.select import NotMeasured, full_budget, method_of, run_name

TECHNIQUE = "torch.compile"
GPU_ONLY = True
CLAIM = "Compiling without CUDA graphs gives a small gain"
EXPERIMENT = (
    "One static step was decoded as it is and through each mode of torch.compile; seconds of compiling were "
    "taken from an empty cache."
)
THRESHOLD = (
    "at the full budget the fastest mode of torch.compile without CUDA graphs at least 1.05 and at most 1.5 "
    "times the speed of the same step uncompiled"
)
LEAST, MOST = 1.05, 1.5
WITH_GRAPHS = ("compiled_graph", "compiled_tuned_graph", "compiled_reduce_overhead")


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the mode that gains most."""
    best = _best(measurements, graphs=False)
    yield Finding(_sentence(best), worst([at_least(best.gain, LEAST), at_most(best.gain, MOST)]))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What the step gains where nothing is launched one by one, and what its bytes alone would take."""
    captured = _best(measurements, graphs=True)
    yield f"with CUDA graphs {run_name(captured.row)} is {captured.gain.number} times as fast as uncompiled"
    best = _best(measurements, graphs=False)
    yield from hosts(measurements, run_name(best.row), best.control, best.row["position"])
    yield floor(measurements, run_name(best.row), best.row["position"])


def _best(measurements: pd.DataFrame, graphs: bool) -> CompiledRun:
    """The compiled run that gains most, among those with or without CUDA graphs."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    runs = [run for run in compiled_runs(measurements) if run.row["method"] == streaming]
    runs = [run for run in runs if run.gain and run.seconds and (run.row["engine"] in WITH_GRAPHS) == graphs]
    if not runs:
        raise NotMeasured("")
    return max(runs, key=lambda run: run.gain.value)


def _sentence(run: CompiledRun) -> str:
    after = run.pays_after_tokens
    paid = f"paid for after {after:,.0f} tokens" if after else "never paid for"
    gain = f"{run_name(run.row)} {run.gain.number} times as fast as uncompiled"
    return f"{gain}; {run.seconds:.0f} s of compiling, {paid}"
