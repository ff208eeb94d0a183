"""One row per run and corpus: quality beside time and memory."""

import pandas as pd

from sinkbench.cells import Estimate, estimate
from sinkbench.readings import at_largest_point, corpora, matching, run_name, text, usable
from sinkbench.tables import without_empty_columns

TITLE = "Headline: quality, time and memory of every run"
WORDS = ("confidence", "block_tokens", "repetitions", "steps")
CAPTION = (
    "Each method on each engine. Perplexity is exp(mean NLL in nats) over all positions that a method scores; "
    "paired is over the positions that all methods score (those capped in length left out); change is the "
    "perplexity over the positions that a method and its baseline both score, against that baseline. Compare "
    "methods by the change: it is taken token by token, so its interval is far narrower than that of a perplexity. "
    "TPOT is the time per output token at the largest point timed: median of {repetitions} repetitions of {steps} "
    "steps. Speed-up is the baseline's TPOT over the run's, where both were timed at the same point, else at the "
    "largest of each. MBU is the share of the measured memory bandwidth that a step needs at least; NLL gap is the "
    "mean difference between engine and exact evaluator. Brackets: {confidence} % bootstrap intervals, over blocks "
    "of {block_tokens} tokens or over repetitions. Budget counts cached tokens, sinks included."
)

MEBI = 2**-20
# heading, metric, format, scale
QUALITY = (
    ("Perplexity", "perplexity", "z,.2f", 1),
    ("Perplexity, paired", "perplexity_paired", "z,.2f", 1),
    ("Change [%]", "perplexity_change", "+z,.2f", 1),
)
SPEED = (
    ("TPOT [ms]", "tpot_ms", ".2f", 1),
    ("Speed-up [x]", "speedup", ".2f", 1),
    ("Peak memory [MiB]", "peak_memory_bytes", ",.0f", MEBI),
    ("Cache [MiB]", "cache_bytes", ",.1f", MEBI),
    ("MBU [%]", "mbu", ".1f", 100),
    ("NLL gap [nats]", "nll_gap", ".1e", 1),
)


def build(measurements: pd.DataFrame, words: dict) -> pd.DataFrame:
    """See CAPTION. A run without a number has its status instead."""
    valid = usable(measurements)
    rows = [
        _row(measurements, valid, run, corpus)
        for corpus in corpora(measurements) or [None]
        for run in _runs(measurements)
    ]
    return without_empty_columns(pd.DataFrame(rows))


def _runs(measurements: pd.DataFrame) -> list[dict]:
    """Every run, and every method that no engine was timed on, in the study's order."""
    timed = measurements.groupby("method", sort=False)["engine"].transform("count") > 0
    rows = measurements[measurements["engine"].notna() | ~timed]
    return rows.drop_duplicates(["method", "engine"]).to_dict("records")


def _row(measurements: pd.DataFrame, valid: pd.DataFrame, run: dict, corpus: str | None) -> dict:
    quality = matching(valid[valid["engine"].isna()], method=run["method"], corpus=corpus)
    speed = matching(valid, method=run["method"], engine=run["engine"])
    status = _status(measurements, run, corpus)
    if status.startswith("invalid"):
        quality, speed = quality.iloc[:0], speed.iloc[:0]
    return {
        "Run": run_name(run),
        "Corpus": corpus or "",
        "Budget [tokens]": "all" if pd.isna(run["budget"]) else Estimate(int(run["budget"]), spec=",d"),
        **{heading: _quality(quality, *how) for heading, *how in QUALITY},
        **{heading: _speed(speed, *how) for heading, *how in SPEED},
        "Status": status,
    }


def _status(measurements: pd.DataFrame, run: dict, corpus: str | None) -> str:
    """Why this row lacks numbers: the status of its method on the corpus, and of its engine."""
    rows = matching(measurements[measurements["status"] != "ok"], method=run["method"])
    concerns = (rows["engine"] == run["engine"]) | (rows["engine"].isna() & (rows["corpus"] == corpus))
    return "; ".join(sorted(rows[concerns.fillna(False).astype(bool)]["status"]))


def _quality(rows: pd.DataFrame, metric: str, spec: str, scale: float) -> Estimate | str:
    pooled = matching(rows[rows["document"].isna()], metric=metric)
    if pooled.empty:
        return ""
    row = pooled.iloc[0]
    return estimate(row, spec, scale, f"against {row['against']}" if text(row["against"]) else "")


def _speed(rows: pd.DataFrame, metric: str, spec: str, scale: float) -> Estimate | str:
    rows = matching(rows, metric=metric)
    if rows.empty:
        return ""
    row = at_largest_point(rows).iloc[0]
    notes = {"speedup": f"against {text(row['against'])}", "tpot_ms": f"at {row['kind']} {row['position']:,}"}
    return estimate(row, spec, scale, notes.get(metric, "")) if metric in notes else estimate(row, spec, scale)
