"""Perplexity of every document under every method: one row per method."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.select import corpora, matching, usable

TITLE = "Perplexity of each document"
CATEGORY = "baselines"
CAPTION_FIELDS = ("confidence", "block_tokens")
CAPTION = (
    "Perplexity, exp(mean NLL in nats), of each document under each method, over the positions that the "
    "method scores. Window and streaming score all of them. Dense attention scores the first ones up to its "
    "cap, recomputation a sample. Brackets are {confidence} % intervals over blocks of {block_tokens} "
    "tokens. Skipped counts the documents without a score: empty ones, and those too short for the method. "
    "Correlation is the lag-one autocorrelation between the mean NLLs of neighbouring blocks. "
    "Intervals take blocks for independent: from a correlation of 0.2 on a remark says that they may be too "
    "narrow."
)
LARGE = 0.2  # of AR(1) blocks: standard errors are 18 % too small, and a 95 % interval covers 89 %


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A method without a number has its status instead."""
    rows = matching(measurements, metric="perplexity")
    methods = rows["method"].unique()
    table, correlated = {"Method": methods}, _correlations(measurements)
    for corpus in corpora(rows):
        scored = matching(usable(rows), corpus=corpus)
        for document, part in scored.groupby("document", sort=False):
            table[f"{document} ({corpus})"] = _cells(part, methods)
        table[f"all of {corpus}"] = _cells(scored[scored["document"].isna()], methods)
        skipped = matching(usable(measurements), metric="skipped_documents", corpus=corpus)
        table[f"Skipped of {corpus}"] = _counts(skipped[skipped["value"] > 0], methods)
        table[f"Correlation on {corpus}"] = _cells(matching(correlated, corpus=corpus), methods)
    table["Remark"] = [_remark(matching(correlated, method=name)) for name in methods]
    failed = rows[rows["status"] != "ok"].groupby("method")["status"].agg("; ".join)
    return without_empty_columns(pd.DataFrame(table | {"Status": [failed.get(name, "") for name in methods]}))


def _correlations(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows of the correlation between blocks, all documents of a corpus together."""
    rows = matching(usable(measurements), metric="block_autocorrelation")
    return rows[rows["document"].isna()]


def _cells(rows: pd.DataFrame, methods: list[str]) -> list[Estimate | str]:
    """The number of each method, or an empty cell."""
    found = {row["method"]: estimate(row) for row in rows.to_dict("records")}
    return [found.get(name, "") for name in methods]


def _counts(rows: pd.DataFrame, methods: list[str]) -> list[str]:
    """The whole number of each method, or an empty cell."""
    found = {row["method"]: f"{row['value']:.0f}" for row in rows.to_dict("records")}
    return [found.get(name, "") for name in methods]


def _remark(correlations: pd.DataFrame) -> str:
    """On which corpora a method's blocks are too short to be independent."""
    large = correlations[correlations["value"] >= LARGE]["corpus"]
    return f"intervals on {' and '.join(large)} may be too narrow" if len(large) else ""
