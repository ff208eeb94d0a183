"""What torch.compile buys and costs, by mode and by whether shapes are stable: one row per run."""

import pandas as pd

from sinkbench.analysis.ablations import CompiledRun, cell, compiled_runs
from sinkbench.analysis.estimate import Estimate, without_empty_columns
from sinkbench.analysis.select import RUN, matching, status_warnings, usable

TITLE = "Compilation: what it buys and what it costs"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device", "dagger")
CAPTION = (
    "The decode step on {device} as it is and through torch.compile, by mode. static: shapes never change. "
    "growing: the cache is concatenated, so no step has the shapes of the one before. TPOT, the time per "
    "output token, is the median of {repetitions} repetitions of {steps} steps after warm-up, without "
    "compilation. Compile is the wall time of the calls that compiled something, from an empty cache, "
    "warm-up included. Compilations are graphs made, one for each part of the step and one more for each "
    "further shape; torch gives up on a function after 8. Pays after: tokens until the time saved is that "
    "of compiling. NLL gap is the mean difference to the exact evaluator. Brackets are {confidence} % "
    "intervals over repetitions. {dagger} The footnote says what."
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A run without a time has its status instead; the order is the study's."""
    timed = {_key(run.row): run for run in compiled_runs(measurements)}
    runs = matching(measurements[measurements["engine"].notna()], family="compile").drop_duplicates(RUN)
    rows = [_row(measurements, run, timed.get(_key(run))) for run in runs.to_dict("records")]
    return without_empty_columns(pd.DataFrame(rows))


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in RUN)


def _row(measurements: pd.DataFrame, run: dict, timed: CompiledRun | None) -> dict:
    own = matching(measurements, **{name: run[name] for name in RUN})
    named = {"Method": run["method"], "Engine": run["engine"]}
    if timed is None:
        return {**named, "Status": "; ".join(status_warnings(own, None))}
    row, after = timed.row, timed.pays_after_tokens
    return {
        **named,
        "TPOT [ms]": cell(pd.DataFrame([row]), "tpot_ms", ".3f"),
        "Speed-up [x]": timed.gain or "",
        "Compile [s]": "" if timed.seconds is None else Estimate(timed.seconds, spec=".1f"),
        "Compilations": "" if timed.graphs is None else Estimate(timed.graphs, spec="d"),
        "Pays after [tokens]": "" if after is None else Estimate(after, spec=",.0f"),
        "NLL gap [nats]": cell(usable(own), "nll_gap", ".1e"),
        "Status": "; ".join(status_warnings(own, row["position"])),
    }
