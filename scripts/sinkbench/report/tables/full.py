"""Everything that was measured of a run: one row per run and corpus."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.select import (
    at_largest_point,
    corpora,
    failed_quality,
    matching,
    or_blank,
    run_name,
    runs,
    status_warnings,
    usable,
    without_drafts,
)

TITLE = "Every run, every column"
CATEGORY = "findings"
CAPTION_FIELDS = ("confidence", "block_tokens", "repetitions", "steps", "dagger")
CAPTION = (
    "Each method on each engine and corpus, without drafts. Perplexity is exp(mean NLL in nats) over all "
    "positions that a method scores. Paired perplexity is over those that all methods score; dense "
    "attention is left out of it. The change compares two methods token by token over the positions that "
    "both score. TPOT, the time per output token, is the median of {repetitions} repetitions of {steps} "
    "steps at the largest point timed. Speed-up is the TPOT of the first named baseline over the run's at "
    "an equal point. MBU is the share of the measured memory bandwidth that a step needs at least. NLL gap "
    "is the mean difference between engine and exact evaluator, in the model's dtype and in float32. Against "
    "float32 stand the share of equal top tokens and the mean Kullback-Leibler divergence. Brackets "
    "are {confidence} % intervals, over blocks of {block_tokens} tokens or over repetitions. {dagger} The "
    "footnote says what."
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
    ("NLL gap to float32 [nats]", "nll_gap_float32", ".1e", 1),
    ("Same top token [%]", "top_token_agreement", ".1f", 100),
    ("KL to float32 [nats]", "kl_divergence", ".1e", 1),
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A run without a number has its status instead."""
    measurements = without_drafts(measurements)
    valid = usable(measurements)
    rows = [
        _row(measurements, valid, run, corpus)
        for corpus in corpora(measurements) or [None]
        for run in runs(measurements)
        if corpus is None or corpus in corpora(measurements, method=run["method"])
    ]
    return without_empty_columns(pd.DataFrame(rows))


def _row(measurements: pd.DataFrame, valid: pd.DataFrame, run: dict, corpus: str | None) -> dict:
    quality = matching(valid[valid["engine"].isna()], method=run["method"], corpus=corpus)
    speed = matching(valid, method=run["method"], engine=run["engine"], batch=run["batch"])
    status = _status(measurements, run, corpus)
    if status.startswith("invalid"):
        quality, speed = quality.iloc[:0], speed.iloc[:0]
    return {
        "Run": run_name(run),
        "Corpus": corpus or "",
        "Status": status,
        "Budget [tokens]": "all" if pd.isna(run["budget"]) else Estimate(int(run["budget"]), spec=",d"),
        **{heading: _quality(quality, *how) for heading, *how in QUALITY},
        **{heading: _speed(speed, *how) for heading, *how in SPEED},
    }


def _status(measurements: pd.DataFrame, run: dict, corpus: str | None) -> str:
    """What is to be said against this row: of its method on the corpus, and of its run where it is shown."""
    rows = matching(measurements, method=run["method"])
    own = matching(rows, engine=run["engine"], batch=run["batch"])
    quality = matching(failed_quality(rows), corpus=corpus)
    return "; ".join(sorted({*quality["status"], *status_warnings(own, own["position"].max())}))


def _quality(rows: pd.DataFrame, metric: str, spec: str, scale: float) -> Estimate | str:
    return _cell(matching(rows[rows["document"].isna()], metric=metric), spec, scale)


def _speed(rows: pd.DataFrame, metric: str, spec: str, scale: float) -> Estimate | str:
    rows = matching(rows, metric=metric)
    if metric == "speedup":
        rows = rows[rows["against"] == rows["against"].iloc[:1].squeeze()]
    return _cell(at_largest_point(rows), spec, scale)


def _cell(rows: pd.DataFrame, spec: str, scale: float) -> Estimate | str:
    """The number of the only row, if there is one, with its baseline or the point where time was measured."""
    if rows.empty:
        return ""
    row = rows.iloc[0]
    note = f"against {row['against']}" if or_blank(row["against"]) else ""
    if row["metric"] == "tpot_ms":
        note = f"at {row['position_kind']} {row['position']:,}"
    return estimate(row, spec, scale, note)
