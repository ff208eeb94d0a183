"""Choosing numbers from the tidy table of measurements, for tables, figures and claims alike."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sinkbench.results.schema import DISTURBED, PENDING, has_failed

RUN = ["method", "engine", "batch"]  # the columns that tell runs apart
# Families that vary one thing, at few points: they stand for no method where one of its runs must.
ABLATIONS = ("compile", "attention")
# Metrics of profile jobs, which may fail where a run was timed.
PROFILE = (
    "part_ms",
    "launches_per_step",
    "part_bytes",
    "step_ms",
    "step_without_attention_ms",
    "step_separate_ms",
)
PROBES = ("recall_saved", "sink_share_median")  # of jobs that may fail where the perplexity was measured
FLOAT32_SCORE = "nll_gap_float32"  # which may be missing where a run was timed


class NotMeasured(Exception):
    """The study has no such number. The message is the status of the run that failed to give it, if any."""


def usable(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows that may become a number.

    An invalid method (a NaN or an infinity) has none on that corpus, and no time anywhere: how fast a run
    computes nonsense is no result. An unavailable run has no times; its method's perplexity stands. So do
    the times of a run whose profile failed or that has no float32 score, the perplexity of a method without
    recall or shares of attention, and a disturbed time, which is marked wherever it is shown. What is not
    measured yet says nothing against what is.
    """
    dropped, timed = has_failed(measurements), measurements["engine"].notna()
    beside = measurements["metric"].isin([*PROFILE, *PROBES, FLOAT32_SCORE]) | _is_pending(measurements)
    failed = measurements[dropped & ~beside]
    quality, speed = failed[failed["engine"].isna()], failed[failed["engine"].notna()]
    dropped |= ~timed & _keys(measurements, "method", "corpus").isin(_keys(quality, "method", "corpus"))
    dropped |= timed & measurements["method"].isin(quality["method"])
    dropped |= timed & _keys(measurements, *RUN).isin(_keys(speed, *RUN))
    return measurements[~dropped]


def pick(measurements: pd.DataFrame, metric: str, **where) -> pd.DataFrame:
    """Usable rows of a metric, all documents pooled, of single streams; NotMeasured if there are none."""
    rows = matching(single_stream(usable(measurements)), metric=metric, **where)
    rows = rows[rows["document"].isna()]
    if rows.empty:
        named = {name: where[name] for name in ("method", "engine") if name in where}
        raise NotMeasured("; ".join(statuses(matching(measurements, **named)).values()) if named else "")
    return rows


def matching(rows: pd.DataFrame, **where) -> pd.DataFrame:
    """Rows whose columns have these values; an empty cell matches nothing."""
    kept = np.ones(len(rows), dtype=bool)
    for column, value in where.items():
        kept &= (rows[column] == value).fillna(False).to_numpy(bool)
    return rows[kept]


def single_stream(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without those of several streams in step, or of drafts, whose step is not that of one token."""
    return without_drafts(rows[(rows["batch"] == 1) | rows["batch"].isna()])


def without_drafts(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without those of speculative decoding."""
    return rows[rows["drafts"].isna()]


def method_of(measurements: pd.DataFrame, policy: str, **where) -> str:
    """The method of a policy and budget; of several number formats the plain one (the shortest name)."""
    names = matching(measurements, policy=policy, **where)["method"].unique()
    if not len(names):
        raise NotMeasured("")
    return min(names, key=len)


def full_budget(measurements: pd.DataFrame) -> int:
    """The largest budget of streaming, in tokens; a study sets it to the model's trained length."""
    budgets = matching(measurements, policy="streaming")["budget"].dropna()
    if budgets.empty:
        raise NotMeasured("")
    return int(budgets.max())


def at_largest_point(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each run, the row at its largest timed point (context, stream position or budget)."""
    return rows.sort_values("position", kind="stable").groupby(RUN, sort=False, dropna=False).tail(1)


def at_common_point(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each run, the row at the point where most runs of its policy were timed; of several the largest.

    Args:
        rows: of one metric.
    """
    shared = rows.groupby(["policy", "position_kind", "position"])["metric"].transform("size")
    ranked = rows.assign(shared=shared).sort_values(["shared", "position"], kind="stable")
    last = ranked.groupby(RUN, sort=False, dropna=False).tail(1)
    return last.drop(columns="shared").sort_index()


def with_fastest_engines(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows without those of runs on another engine than their method's fastest, by TPOT at a common point.

    A method whose only runs are ABLATIONS has none left.
    """
    measurements = measurements[~measurements["family"].isin(ABLATIONS) | measurements["engine"].isna()]
    times = at_common_point(matching(measurements, metric="tpot_ms")).sort_values("value", kind="stable")
    best = times.drop_duplicates("method")
    return measurements[measurements["engine"].isna() | _keys(measurements, *RUN).isin(_keys(best, *RUN))]


def extreme_budgets(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each policy the rows of its largest and of its smallest budget, and all rows without a budget."""
    budgets = rows.groupby("policy")["budget"]
    kept = (rows["budget"] == budgets.transform("max")) | (rows["budget"] == budgets.transform("min"))
    return rows[kept.fillna(True).astype(bool)]


def runs(measurements: pd.DataFrame) -> list[dict]:
    """A row of every run, and of every method that no engine was timed on, in the study's order."""
    found = []
    for _, rows in measurements.groupby("method", sort=False):
        timed = rows[rows["engine"].notna()]
        found += (rows.iloc[:1] if timed.empty else timed.drop_duplicates(RUN)).to_dict("records")
    return found


def fastest(rows: pd.DataFrame) -> dict:
    """The row of the run with the smallest TPOT at its largest timed point; of ABLATIONS if all are."""
    ranked = at_largest_point(rows).assign(ablation=lambda rows: rows["family"].isin(ABLATIONS))
    return ranked.sort_values(["ablation", "value"], kind="stable").iloc[0].drop("ablation").to_dict()


def corpora(measurements: pd.DataFrame, **where) -> list[str]:
    """Names of the corpora, in the study's order; none if only speed was measured.

    Args:
        where: columns and values that some row of the corpus must have: not every family scores every corpus.
    """
    return list(matching(without_drafts(measurements), **where)["corpus"].dropna().unique())


def statuses(measurements: pd.DataFrame) -> dict[str, str]:
    """Status of every method or run that gave no number, by its name and corpus."""
    failed = measurements[has_failed(measurements)].to_dict("records")
    return {
        " on ".join(filter(None, (run_name(row), or_blank(row["corpus"])))): row["status"] for row in failed
    }


def is_partial(measurements: pd.DataFrame) -> bool:
    """Whether something that the study plans is not measured yet."""
    return bool(_is_pending(measurements).any())


def devices(measurements: pd.DataFrame) -> list[str]:
    """Names of the devices that measured anything."""
    return list(measurements[~_is_pending(measurements)]["device"].unique())


def is_disturbed(row: Mapping) -> bool:
    """Whether a row's number was measured while something else disturbed the device or its host."""
    return row["status"].startswith(DISTURBED)


def failed_quality(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that stand for a perplexity that could not be had."""
    return rows[rows["engine"].isna() & has_failed(rows) & ~rows["metric"].isin(PROBES)]


def status_warnings(rows: pd.DataFrame, position) -> list[str]:
    """What the statuses of one run's rows say against its times: that it failed, or those at a point.

    A speed-up has its baseline's status where that is the worse one, which is no doubt about this run.
    """
    rows = rows[~rows["metric"].isin([*PROFILE, *PROBES, "speedup"])]
    here = (rows["position"] == position).fillna(False).astype(bool) & (rows["status"] != "ok")
    return list(rows[has_failed(rows) | here]["status"].unique())


def run_name(row: Mapping) -> str:
    """The name of a row's run (run_table.Run.name), or of its method where no engine is involved."""
    batch = "" if pd.isna(row["batch"]) or row["batch"] == 1 else f"-x{row['batch']}"
    return ".".join(filter(None, (row["method"], or_blank(row["engine"])))) + batch


def or_blank(value) -> str:
    """The value, or nothing if the cell is empty."""
    return "" if pd.isna(value) else str(value)


def _is_pending(rows: pd.DataFrame) -> pd.Series:
    return rows["status"] == PENDING


def _keys(rows: pd.DataFrame, *columns: str) -> pd.Series:
    """One text for each row, the same where all the columns are."""
    first, *others = (rows[column].astype(str) for column in columns)
    return first.str.cat(others, sep="/")
