"""What a passage saves its own repetition, and whether the method's window still holds the passage."""

import pandas as pd

from sinkbench.analysis.select import matching, pick, usable

INSIDE, IN_PART, OUTSIDE = "yes", "in part", "no"


def recalled(measurements: pd.DataFrame, **where) -> pd.DataFrame:
    """The rows of `recall_saved` in the study's order, by distance, with the columns

    window      tokens that a query sees beside the sinks and itself, right after a prune; null if it sees all
    seen        INSIDE: each token of the repetition sees the one that it repeats, and what followed that.
                OUTSIDE: no token of the repetition sees any of the passage. IN_PART: else
    is_trained  whether the text is as long as the model was trained on, or shorter

    Raises:
        NotMeasured: there are none; with the status of the runs that failed.
    """
    rows = pick(measurements, "recall_saved", **where)
    lengths = {name: _length(measurements, name) for name in ("context", "passage", "trained")}
    text = lengths["context"] + rows["position"] + lengths["passage"]
    rows = rows.assign(window=rows["budget"] - rows["sinks"], is_trained=text <= lengths["trained"])
    rows["seen"] = [_seen(row, lengths["passage"]) for row in rows.to_dict("records")]
    order = {method: rank for rank, method in enumerate(rows["method"].unique())}
    ranked = rows.assign(rank=rows["method"].map(order)).sort_values(["rank", "position"], kind="stable")
    return ranked.drop(columns="rank")


def _length(measurements: pd.DataFrame, name: str) -> int:
    """One of the lengths that all recall jobs of a study share, in tokens."""
    return int(matching(usable(measurements), metric=f"recall_{name}_tokens")["value"].iloc[0])


def _seen(row: dict, passage_tokens: int) -> str:
    """A query sees keys up to `window` tokens back; the one that it would copy lies `position` - 1 back.

    The last token of the passage lies `position` - `passage_tokens` behind the first query, which predicts
    the repetition's first token.
    """
    if pd.isna(row["window"]) or row["position"] <= row["window"]:
        return INSIDE
    return OUTSIDE if row["position"] > row["window"] + passage_tokens else IN_PART
