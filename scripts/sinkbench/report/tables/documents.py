"""Perplexity of every document under every method."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.select import corpora, matching, usable

TITLE = "Perplexity of each document"
CATEGORY = "baselines"
CAPTION_FIELDS = ("confidence", "block_tokens")
CAPTION = (
    "Perplexity, exp(mean NLL in nats), of each document (rows) under each method (columns), over the "
    "positions that the method scores: all of them for window and streaming, the first ones up to its cap "
    "for dense, sampled ones for recompute. Brackets: {confidence} % intervals over blocks of "
    "{block_tokens} tokens."
)
POOLED = "all documents"


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A method without a number has its status beside the pooled documents."""
    rows = matching(measurements, metric="perplexity")
    valid = usable(rows)
    table = [
        {"Document": document, "Corpus": corpus}
        | {method: _cell(rows, valid, corpus, document, method) for method in rows["method"].unique()}
        for corpus in corpora(rows)
        for document in [*matching(valid, corpus=corpus)["document"].dropna().unique(), POOLED]
    ]
    return without_empty_columns(pd.DataFrame(table))


def _cell(rows: pd.DataFrame, valid: pd.DataFrame, corpus: str, document: str, method: str) -> Estimate | str:
    found = _of_document(matching(valid, corpus=corpus, method=method), document)
    if len(found):
        return estimate(found.iloc[0])
    failed = matching(rows[rows["status"] != "ok"], corpus=corpus, method=method)
    return "; ".join(failed["status"]) if document == POOLED else ""


def _of_document(rows: pd.DataFrame, document: str) -> pd.DataFrame:
    return rows[rows["document"].isna()] if document == POOLED else matching(rows, document=document)
