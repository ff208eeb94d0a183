"""The answer in one table: a row a run, quality beside time and memory."""

from dataclasses import replace
from functools import partial

import pandas as pd

from sinkbench.analysis.dense_baselines import Baseline, dense_baselines
from sinkbench.analysis.estimate import (
    Estimate,
    estimate,
    without_empty_columns,
)
from sinkbench.analysis.quantization_gains import PLAIN, plain_method
from sinkbench.analysis.recommend import baseline, perplexity_changes
from sinkbench.analysis.select import (
    RUN,
    NotMeasured,
    at_common_point,
    corpora,
    failed_quality,
    matching,
    run_name,
    runs,
    status_warnings,
    usable,
    without_drafts,
)
from sinkbench.analysis.tradeoff import scaled

TITLE = "Headline: quality, time and memory of every run"
CATEGORY = "findings"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device", "dagger")
CAPTION = (
    "A row is a cache policy with its budget (sinks + recent tokens), a number format and an engine. The "
    "change of perplexity is against the row marked baseline, token by token over the positions that both "
    "score: of a row that recomputes, over its sample. Perplexities are that of streaming at the full "
    "budget, scaled by these changes, so that all rows compare. Time per token is measured on {device}, the "
    "median of {repetitions} repetitions of {steps} steps. Speed-ups are over dense attention: the fastest "
    "run of transformers, then the fastest on any engine, then transformers as it comes. They compare at the "
    "run's own point (recomputation: at the largest); a batch counts the tokens of all streams. Brackets are "
    "{confidence} % intervals. Other tables have runs with drafts, and corpora beyond the third. {dagger} "
    "The footnote says what."
)
CORPORA = 3
MEBI = 2**-20


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A run without a number has its status instead."""
    measurements = without_drafts(measurements)
    valid, names = usable(measurements), corpora(measurements)[:CORPORA]
    scores = {corpus: _scores(valid, corpus) for corpus in names}
    times = at_common_point(matching(valid, metric="tpot_ms"))
    row = partial(_row, measurements, valid, scores, times, dense_baselines(valid))
    return without_empty_columns(pd.DataFrame(map(row, runs(measurements))))


def _row(
    measurements: pd.DataFrame,
    valid: pd.DataFrame,
    scores: dict[str, dict[str, Estimate]],
    times: pd.DataFrame,
    baselines: list[Baseline],
    run: dict,
) -> dict:
    key = {name: run[name] for name in RUN}
    time = next(iter(matching(times, **key).to_dict("records")), None)
    position = time["position"] if time else None
    memory = matching(valid, metric="peak_memory_bytes", position=position, **key).to_dict("records")
    return {
        "Policy and budget": plain_method(run),
        "Weights": run["dtype"] if run["quantization"] == PLAIN else run["quantization"],
        "Engine": run_name(run).removeprefix(run["method"]).removeprefix("."),
        **{f"Perplexity on {corpus}": of.get(run["method"], "") for corpus, of in scores.items()},
        "Time per token [ms]": estimate(time, note=f"at {position:,}") if time else "",
        **{base.heading: base.speedup(valid, time) if time else "" for base in baselines},
        "Peak memory [MiB]": next((estimate(row, ",.0f", MEBI) for row in memory), ""),
        "Status": _status(measurements, key, position),
    }


def _scores(valid: pd.DataFrame, corpus: str) -> dict[str, Estimate]:
    """Perplexity of every method with its change against the baseline, or its own perplexity uncompared."""
    rows = matching(valid[valid["document"].isna()], metric="perplexity", corpus=corpus)
    own = {row["method"]: estimate(row, "z,.2f") for row in rows.to_dict("records")}
    try:
        start, changes = baseline(valid, corpus), perplexity_changes(valid, corpus)
    except NotMeasured:
        return own
    level, scores = own[start].value, {}
    for name, number in own.items():
        if name not in changes:
            scores[name] = replace(number, note="not compared")
        elif name == start:
            scores[name] = Estimate(level, spec="z,.2f", note="baseline")
        else:
            change = changes[name]
            change = replace(change, spec="+z,.1f" if change.value < 100 else "+z,.0f")
            scores[name] = Estimate(scaled(level, change).value, spec="z,.2f", change=change)
    return scores


def _status(measurements: pd.DataFrame, key: dict, position: int | None) -> str:
    """What is to be said against the run, and against its method's perplexity."""
    rows = matching(measurements, method=key["method"])
    failed = failed_quality(rows).to_dict("records")
    quality = [f"on {row['corpus']} {row['status']}" for row in failed]
    warnings = status_warnings(matching(rows, **key), position)
    return "; ".join(dict.fromkeys([*quality, *_beyond_training(rows), *warnings]))


def _beyond_training(rows: pd.DataFrame) -> list[str]:
    """What is to be said of a cache that the model never saw the like of."""
    trained = matching(usable(rows), metric="perplexity_within")[["position", "budget"]].dropna()
    longer = trained[trained["budget"] > trained["position"]]
    return [
        f"its cache holds more tokens than the {length:,} that the model was trained on"
        for length in longer["position"].unique()
    ]
