"""Choosing numbers from the tidy table of measurements, for tables, figures and claims alike."""

from collections.abc import Mapping

import pandas as pd


class NotMeasured(Exception):
    """The study has no such number. The message is the status of the run that failed to give it, if any."""


def usable(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows that may become a number.

    An invalid method (a NaN or an infinity) has none on that corpus, and no time anywhere: how fast a run
    computes nonsense is no result. An unavailable run has no times; its method's perplexity stands.
    """
    failed = measurements[measurements["status"] != "ok"]
    quality, speed = failed[failed["engine"].isna()], failed[failed["engine"].notna()]
    timed = measurements["engine"].notna()
    dropped = measurements["status"] != "ok"
    dropped |= ~timed & _pairs(measurements, "corpus").isin(_pairs(quality, "corpus"))
    dropped |= timed & measurements["method"].isin(quality["method"])
    dropped |= timed & _pairs(measurements, "engine").isin(_pairs(speed, "engine"))
    return measurements[~dropped]


def pick(measurements: pd.DataFrame, metric: str, **where) -> pd.DataFrame:
    """Usable rows of a metric, all documents pooled; NotMeasured if there are none."""
    rows = matching(usable(measurements), metric=metric, **where)
    rows = rows[rows["document"].isna()]
    if rows.empty:
        named = {name: where[name] for name in ("method", "engine") if name in where}
        raise NotMeasured("; ".join(statuses(matching(measurements, **named)).values()) if named else "")
    return rows


def matching(rows: pd.DataFrame, **where) -> pd.DataFrame:
    """Rows whose columns have these values; an empty cell matches nothing."""
    for column, value in where.items():
        rows = rows[(rows[column] == value).fillna(False).astype(bool)]
    return rows


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
    return rows.sort_values("position", kind="stable").groupby(["method", "engine"], sort=False).tail(1)


def extreme_budgets(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each policy the rows of its largest and of its smallest budget, and all rows without a budget."""
    budgets = rows.groupby("policy")["budget"]
    kept = (rows["budget"] == budgets.transform("max")) | (rows["budget"] == budgets.transform("min"))
    return rows[kept.fillna(True).astype(bool)]


def fastest(rows: pd.DataFrame) -> dict:
    """The row of the run with the smallest TPOT at its largest timed point."""
    return at_largest_point(rows).sort_values("value", kind="stable").iloc[0].to_dict()


def corpora(measurements: pd.DataFrame) -> list[str]:
    """Names of the corpora, in the study's order; none if only speed was measured."""
    return list(measurements["corpus"].dropna().unique())


def statuses(measurements: pd.DataFrame) -> dict[str, str]:
    """Status of every method or run that gave no number, by its name and corpus."""
    failed = measurements[measurements["status"] != "ok"].to_dict("records")
    return {" on ".join(filter(None, (run_name(row), text(row["corpus"])))): row["status"] for row in failed}


def run_name(row: Mapping) -> str:
    """The name of a row's run, or of its method where no engine is involved."""
    return ".".join(filter(None, (row["method"], text(row["engine"]))))


def text(value) -> str:
    """The value, or nothing if the cell is empty."""
    return "" if pd.isna(value) else str(value)


def _pairs(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows["method"].astype(str) + "/" + rows[column].astype(str)
