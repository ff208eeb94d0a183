"""What the tables, figures and claims of two families of runs share: compilation and attention kernels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, sqrt

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.select import (
    RUN,
    NotMeasured,
    at_common_point,
    matching,
    pick,
    single_stream,
    usable,
)

# Engines of other families that stand beside the attention kernels: the ring with the kernel that torch
# chooses, the formulation of the paper with plain products, and our own kernels.
BESIDE_KERNELS = ("eager", "paper", "fused")


@dataclass(frozen=True)
class CompiledRun:
    """One run of the family `compile` at the common point of its method's runs.

    Attributes:
        row: of tpot_ms.
        gain: its speed over that of its control, the same step that nothing compiles.
        seconds, graphs: what compiling took and made; None where nothing is compiled.
    """

    row: dict
    control: str | None
    gain: Estimate | None
    seconds: float | None
    graphs: int | None

    @property
    def pays_after_tokens(self) -> float | None:
        """Tokens until compiling has saved the time that it took; None if it never does."""
        if self.seconds is None or self.gain is None or self.gain.value <= 1:
            return None
        return 1e3 * self.seconds / (self.row["value"] * (self.gain.value - 1))


def compiled_runs(measurements: pd.DataFrame) -> Iterator[CompiledRun]:
    """Runs of the family `compile` that have a time, in the study's order."""
    rows = single_stream(matching(usable(measurements), family="compile"))
    if rows.empty:
        return
    compiles = rows[rows["metric"] == "compile_s"]
    uncompiled = rows[~rows["engine"].isin(compiles["engine"])]
    controls = set(uncompiled["method"] + "." + uncompiled["engine"])
    for row in at_common_point(matching(rows, metric="tpot_ms")).to_dict("records"):
        own = matching(rows, **{name: row[name] for name in RUN})
        gains = matching(own, metric="speedup", position=row["position"])
        gains = gains[gains["against"].isin(controls)].to_dict("records")
        seconds, graphs = (_value(own, metric) for metric in ("compile_s", "compilations"))
        control = gains[0]["against"] if gains else None
        gain = estimate(gains[0], note=f"against {control}") if gains else None
        yield CompiledRun(row, control, gain, seconds, None if graphs is None else int(graphs))


def gain_sentence(run: CompiledRun) -> str:
    """How much faster than uncompiled, with the interval."""
    return f"{replace(run.gain, unit='times', note='')} as fast as uncompiled"


def attention_runs(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows, of any metric and status, of the runs that compare attention kernels: see BESIDE_KERNELS."""
    rows = single_stream(measurements[measurements["engine"].notna()])
    kernels = matching(rows, family="attention")
    same = rows[rows["method"].isin(kernels["method"]) & rows["engine"].isin(BESIDE_KERNELS)]
    return pd.concat([same, kernels]).drop_duplicates()


def nll_gap(measurements: pd.DataFrame, method: str, engine: str) -> Estimate:
    """Mean distance of an engine's NLLs to the exact evaluator's, in nats, with a wide 95 % interval.

    Mean m and largest L of distances bound their variance by m (L - m) (Bhatia and Davis 2000). The interval
    is two of the standard errors that follow, on the log scale; it takes the tokens as independent.

    Raises:
        NotMeasured: the run was not scored, or has no distance at all.
    """
    mean, largest = (
        pick(measurements, metric, method=method, engine=engine).iloc[0]
        for metric in ("nll_gap", "nll_gap_max")
    )
    if not mean["value"]:
        raise NotMeasured("")
    spread = exp(2 * sqrt((largest["value"] / mean["value"] - 1) / mean["n"]))
    ends = (mean["value"] / spread, mean["value"] * spread)
    return Estimate(mean["value"], *ends, ".1e", f"over {mean['n']} tokens", "nats")


def cell(rows: pd.DataFrame, metric: str, spec: str) -> Estimate | str:
    """The number of the metric's first row, with the point of a time; an empty cell if there is none."""
    found = matching(rows, metric=metric).to_dict("records")
    if not found:
        return ""
    timed = metric == "tpot_ms"
    return estimate(
        found[0], spec, note=f"at {found[0]['position_kind']} {found[0]['position']:,}" if timed else ""
    )


def _value(rows: pd.DataFrame, metric: str) -> float | None:
    return next(iter(matching(rows, metric=metric)["value"]), None)
