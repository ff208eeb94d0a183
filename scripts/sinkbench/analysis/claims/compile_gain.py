"""torch.compile without CUDA graphs gives a small gain."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.ablations import CompiledRun, compiled_runs, gain_sentence
from sinkbench.analysis.causes import floor, hosts
from sinkbench.analysis.claims import Finding, at_least, at_most, worst
from sinkbench.analysis.claims._runs import beside, failed
from sinkbench.analysis.select import NotMeasured, full_budget, matching, method_of, run_name

TECHNIQUE = "torch.compile"
GPU_ONLY = True
CLAIM = "Compiling without CUDA graphs gives a small gain"
EXPERIMENT = (
    "One static step was decoded as it is and through each mode of torch.compile; seconds of compiling were "
    "taken from an empty cache."
)
THRESHOLD = (
    "at the full budget every mode of torch.compile without CUDA graphs at least 1.05 and at most 1.5 times "
    "the speed of the same step uncompiled"
)
LEAST, MOST = 1.05, 1.5
WITH_GRAPHS = ("compiled_graph", "compiled_tuned_graph", "compiled_reduce_overhead")


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per mode; those that cannot run here stand beside."""
    for run in _runs(measurements, graphs=False):
        yield Finding(_sentence(run), worst([at_least(run.gain, LEAST), at_most(run.gain, MOST)]))
    yield from beside(_modes(measurements, graphs=False))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What the step gains where nothing is launched one by one, and what its bytes alone would take."""
    captured, compiled = (_fastest(_runs(measurements, graphs)) for graphs in (True, False))
    yield f"with CUDA graphs {run_name(captured.row)} {gain_sentence(captured)}"
    yield from hosts(measurements, run_name(compiled.row), compiled.control, compiled.row["position"])
    yield floor(measurements, run_name(compiled.row), compiled.row["position"])


def _runs(measurements: pd.DataFrame, graphs: bool) -> list[CompiledRun]:
    """The compiled runs at the full budget, with or without CUDA graphs, in the study's order.

    Raises:
        NotMeasured: there is none; with the statuses of those that could not run.
    """
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    runs = [run for run in compiled_runs(measurements) if run.row["method"] == streaming]
    runs = [run for run in runs if run.gain and run.seconds and (run.row["engine"] in WITH_GRAPHS) == graphs]
    if not runs:
        raise NotMeasured("; ".join(failed(_modes(measurements, graphs)).values()))
    return runs


def _modes(measurements: pd.DataFrame, graphs: bool) -> pd.DataFrame:
    """Rows of all runs of the family, with or without CUDA graphs."""
    modes = matching(measurements, family="compile", policy="streaming")
    return modes[modes["engine"].isin(WITH_GRAPHS) == graphs]


def _fastest(runs: list[CompiledRun]) -> CompiledRun:
    return max(runs, key=lambda run: run.gain.value)


def _sentence(run: CompiledRun) -> str:
    after = run.pays_after_tokens
    paid = f"paid for after {after:,.0f} tokens" if after else "never paid for"
    return f"{run_name(run.row)} {gain_sentence(run)}, {run.seconds:.0f} s of compiling, {paid}"
