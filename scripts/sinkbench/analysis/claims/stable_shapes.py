"""torch.compile needs shapes that stay the same."""

from collections.abc import Iterator
from contextlib import suppress

import pandas as pd

from sinkbench.analysis.ablations import CompiledRun, compiled_runs, gain_sentence
from sinkbench.analysis.claims import Finding, at_least, at_most
from sinkbench.analysis.claims._runs import beside
from sinkbench.analysis.estimate import estimate, ratio
from sinkbench.analysis.select import NotMeasured, full_budget, matching, method_of, pick, run_name

TECHNIQUE = "torch.compile"
GPU_ONLY = True
CLAIM = "Shapes must stay the same for compiling to pay"
EXPERIMENT = (
    "A step whose shapes never change, and one whose cache grows by concatenation, were decoded as they are "
    "and through torch.compile. It compiles the second anew for every length until it gives up, or once for "
    "all lengths (dynamic)."
)
THRESHOLD = (
    "compiled without CUDA graphs, the step of fixed shapes at least 1.05 times the speed of itself "
    "uncompiled, and the step of growing shapes at most 1.05 times, whether compiled anew or dynamically"
)
LEAST = 1.05
FIXED, GROWING = ("compiled", "compiled_tuned"), ("compiled_growing", "compiled_dynamic")
CONTROLS = {**dict.fromkeys(FIXED, "static"), **dict.fromkeys(GROWING, "growing")}  # the same step uncompiled
CHOSEN, FLASH = "eager", "eager_flash"
GROWS = "grows, so that a kernel may plan anew for every token"
KEEPS = "keeps its shape, so that one plan serves all"


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """The gain at fixed shapes, and each gain at growing ones."""
    fixed, growing = _runs(measurements, FIXED)[0], _runs(measurements, GROWING)
    yield Finding(_sentence(fixed), at_least(fixed.gain, LEAST))
    yield from (Finding(_sentence(run), at_most(run.gain, LEAST)) for run in growing)
    yield from beside(matching(measurements, family="compile"), GROWING)


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What each has cost the compiler; and uncompiled, what a new length costs the kernel of attention."""
    for run in (_runs(measurements, FIXED)[0], *_runs(measurements, GROWING)):
        yield f"{run_name(run.row)} was compiled {run.graphs} times in {run.seconds:.0f} s"
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    for method, cache in ((method_of(measurements, "dense"), GROWS), (streaming, KEEPS)):
        with suppress(NotMeasured):
            yield _kernels(measurements, method, cache)


def _runs(measurements: pd.DataFrame, engines: tuple[str, ...]) -> list[CompiledRun]:
    """Runs of these engines whose gain over the same step uncompiled was measured."""
    runs = [run for run in compiled_runs(measurements) if run.row["engine"] in engines]
    runs = [run for run in runs if run.gain and run.seconds is not None]
    found = [run for run in runs if run.control.split(".")[-1] == CONTROLS[run.row["engine"]]]
    if not found:
        raise NotMeasured("")
    return found


def _sentence(run: CompiledRun) -> str:
    return f"{run_name(run.row)} {gain_sentence(run)}"


def _kernels(measurements: pd.DataFrame, method: str, cache: str) -> str:
    """The kernel that torch chooses beside flash, at the largest point where both were timed."""
    times = [pick(measurements, "tpot_ms", method=method, engine=engine) for engine in (CHOSEN, FLASH)]
    position = max(set.intersection(*(set(rows["position"]) for rows in times)), default=None)
    if position is None:
        raise NotMeasured("")
    chosen, flash = (estimate(matching(rows, position=position).iloc[0].to_dict()) for rows in times)
    return (
        f"where the cache {cache} ({method}.{CHOSEN}), a token takes {chosen} ms uncompiled at {position:,} "
        f"tokens with the attention kernel that torch chooses and {flash} with flash, "
        f"{ratio(chosen, flash)} times as long"
    )
