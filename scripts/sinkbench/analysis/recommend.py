"""Which combination to use: the fastest run of the study whose perplexity stays within a target.

A perplexity is the exact evaluator's. It is the engine's too only where both compute the same (MOST_GAP).
"""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.quantization_gains import plain_method
from sinkbench.analysis.select import (
    FLOAT32_SCORE,
    RUN,
    NotMeasured,
    at_common_point,
    full_budget,
    matching,
    method_of,
    pick,
    run_name,
    usable,
)
from sinkbench.analysis.tradeoff import changes_against

TARGETS_PERCENT = (1.0, 4.0, 10.0)
# Largest mean |NLL difference| of an engine to the exact evaluator, in nats. Rounding to bfloat16 costs 0.008
# to 0.014 and activations in int8 0.026 (docs/reference); a loss in bfloat16 costs 0.035 (engines.static).
# A mean of differences is no larger than the mean of their magnitudes. So 0.02 nats change the perplexity of
# an engine by at most 2 %, and only if all differences had one sign; those of rounding have both.
MOST_GAP = 0.02
GAP_NOTE = (
    f"An engine is a choice only if its NLLs lie within {MOST_GAP:g} nats of the exact evaluator's, in the "
    "mean: rounding to bfloat16 costs less, and what costs more is another computation"
)
BEYOND = "its interval reaches beyond the target"
SHOWN = 5  # runs of a study that measured times only
MEBI = 2**-20


def by_target(measurements: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """One row for each target of perplexity on a corpus: the fastest run within it, or that there is none.

    Raises:
        NotMeasured: no times, or no perplexities that are compared with each other.
    """
    changes, runs = perplexity_changes(measurements, corpus), _runs(measurements)
    scored = [row for row in runs if row["method"] in changes]
    rows = []
    for limit in TARGETS_PERCENT:
        within = [row for row in scored if changes[row["method"]].value <= limit]
        rows.append({"Perplexity": f"within {limit:g} %", **_first(measurements, within, changes, limit)})
    rows.append({"Perplexity": "any", **_first(measurements, runs, changes)})
    return without_empty_columns(pd.DataFrame(rows).fillna(""))


def by_time(measurements: pd.DataFrame) -> pd.DataFrame:
    """The fastest runs of a study without perplexities, one per method, from the fastest on.

    Raises:
        NotMeasured: no times.
    """
    best = {row["method"]: row for row in reversed(_runs(measurements))}
    order = sorted(best.values(), key=lambda row: row["value"])[:SHOWN]
    return pd.DataFrame([_cells(measurements, row) for row in order])


def fastest_within(measurements: pd.DataFrame, corpus: str | None, limit: float) -> dict | None:
    """The row of the fastest run within a target of perplexity in percent, or of all runs without a corpus.

    Raises:
        NotMeasured: no times, or no perplexities that are compared with each other.
    """
    runs = _runs(measurements)
    if corpus is not None:
        changes = perplexity_changes(measurements, corpus)
        runs = [row for row in runs if row["method"] in changes and changes[row["method"]].value <= limit]
    return next(iter(runs), None)


def baseline(measurements: pd.DataFrame, corpus: str) -> str:
    """The method that targets are measured from: streaming at the full budget.

    It scores every position. Recomputation scores a sample of them, which the claim `perplexity` compares.

    Raises:
        NotMeasured: it was not scored on the corpus.
    """
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    pick(measurements, "perplexity", corpus=corpus, method=full)
    return full


def perplexity_changes(measurements: pd.DataFrame, corpus: str) -> dict[str, Estimate]:
    """Percent change of every method's perplexity against `baseline`, by method."""
    return changes_against(measurements, corpus, baseline(measurements, corpus))


def left_out(measurements: pd.DataFrame) -> list[str]:
    """Methods that were scored but not timed, and so cannot be recommended."""
    valid = usable(measurements)
    timed = set(matching(valid, metric="tpot_ms")["method"])
    return [name for name in matching(valid, metric="perplexity")["method"].unique() if name not in timed]


def inexact(measurements: pd.DataFrame) -> dict[str, Estimate]:
    """The gap in nats of every run that is no choice since it exceeds MOST_GAP, by the run's name."""
    gaps = {run_name(row): _gap(measurements, row) for row in _bounded(measurements)}
    return {name: gap for name, gap in gaps.items() if gap is not None and gap.value > MOST_GAP}


def _runs(measurements: pd.DataFrame) -> list[dict]:
    """The rows of `_bounded` whose engine is known to compute what was scored."""
    gaps = [(row, _gap(measurements, row)) for row in _bounded(measurements)]
    return [row for row, gap in gaps if gap is not None and gap.value <= MOST_GAP]


def _bounded(measurements: pd.DataFrame) -> list[dict]:
    """TPOT of every run with a bounded cache, at one point, from the fastest on."""
    times = at_common_point(pick(measurements, "tpot_ms"))
    times = times[times["budget"].notna()].sort_values("value", kind="stable")
    if times.empty:
        raise NotMeasured("")
    return times.to_dict("records")


def _gap(measurements: pd.DataFrame, row: dict) -> Estimate | None:
    """Mean NLL gap of a run to the evaluator in float32, or to that in the model's dtype; None if neither."""
    own = matching(usable(measurements), **{name: row[name] for name in RUN})
    for metric in (FLOAT32_SCORE, "nll_gap"):
        for found in matching(own, metric=metric).to_dict("records"):
            return estimate(found, ".1e", unit="nats")
    return None


def _first(measurements: pd.DataFrame, runs: list[dict], changes: dict, limit: float | None = None) -> dict:
    """The cells of the fastest run; a remark alone if there is none."""
    if not runs:
        return {"Remark": "no timed run of this study"}
    row = runs[0]
    change = changes.get(row["method"])
    remark = "" if change else "its perplexity is not compared"
    if limit is not None and max(change.bounds) > limit:
        remark = BEYOND
    of_itself = row["method"] == next(iter(changes), None)
    shown = "" if of_itself else change or ""
    return {"Change [%]": shown, **_cells(measurements, row), "Remark": remark}


def _cells(measurements: pd.DataFrame, row: dict) -> dict:
    return {
        "Policy": plain_method(row),
        "Budget [tokens]": Estimate(int(row["budget"]), spec=",d"),
        "Weights": row["dtype"] if row["quantization"] == "none" else row["quantization"],
        "Engine": row["engine"],
        "TPOT [ms]": estimate(row, note=f"at {row['position_kind']} {row['position']:,}"),
        "Peak memory [MiB]": next(_memory(measurements, row), ""),
    }


def _memory(measurements: pd.DataFrame, row: dict) -> Iterator[Estimate]:
    """Peak memory where the time was taken."""
    where = {name: row[name] for name in ("method", "engine", "batch", "position_kind", "position")}
    for found in matching(usable(measurements), metric="peak_memory_bytes", **where).to_dict("records"):
        yield estimate(found, ",.0f", MEBI)
