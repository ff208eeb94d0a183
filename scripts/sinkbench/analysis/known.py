"""Published figures beside this study's: what agrees, what differs, and what was not measured here."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.select import failed_quality, matching, usable

AGREES, NOT_MEASURED = "agrees", "not measured here"
ANOTHER_MODEL = "The figure is of another model than this study's."
ROUNDING = 1e-9  # relative, of a tolerance: a difference that lies on it agrees
SAME_TEXT = 0.01  # relative: a text of another length, in tokens, is another text
SPEC = "#.4g"  # of our numbers


@dataclass(frozen=True)
class Answer:
    """What a study says of a published figure.

    Args:
        ours: its own number, in the unit of the figure; None if it has none.
        difference: ours less the figure, in nats for an NLL and relative for a perplexity, as the tolerance.
        reason: why there is no number.
    """

    ours: Estimate | None = None
    difference: float | None = None
    reason: str = ""


def answer(row: dict, model: str, measurements: pd.DataFrame) -> Answer:
    """The study's own number for a row of the config's `published`, or why there is none.

    Args:
        model: results.published.model_name of the study's.
    """
    if "corpus" not in row:
        return Answer(reason=row["why_not"])
    if row["model"] != model:
        return Answer(reason=ANOTHER_MODEL)
    where = {"method": row["method"], "corpus": row["corpus"]}
    tokens = {"position": row["first"], "last": row["last"]}
    found = matching(usable(measurements), metric="nll_range", **where, **tokens)
    if found.empty:
        return Answer(reason=_why_missing(matching(measurements, **where), row))
    ours = found.iloc[0]
    if abs(ours["n"] - row["predictions"]) > SAME_TEXT * row["predictions"]:
        scored, wanted = int(ours["n"]), row["predictions"]
        return Answer(
            reason=f"The method scores {scored:,} predictions here, and the figure is of {wanted:,}."
        )
    return _compared(row, ours)


def verdict(row: dict, found: Answer) -> str:
    """Whether a figure agrees, by how much it differs, or that it was not measured here."""
    if found.difference is None:
        return NOT_MEASURED
    if abs(found.difference) <= row["tolerance"] * (1 + ROUNDING):
        return AGREES
    return f"differs by {in_unit(row, found.difference, '+')}"


def in_unit(row: dict, number: float, sign: str = "") -> str:
    """A difference or tolerance of a row in words: percent of a perplexity, nats of an NLL."""
    in_percent = row["measure"] == "perplexity"
    scaled, decimals, unit = (100 * number, 2, "%") if in_percent else (number, 4, "nats")
    return f"{Estimate(scaled, spec=f'{sign}z.{decimals}f').number} {unit}"


def _compared(row: dict, ours: pd.Series) -> Answer:
    """The number in the figure's unit, and the difference."""
    low, high = (None if pd.isna(ours[end]) else ours[end] for end in ("low", "high"))
    if row["measure"] == "nll":
        return Answer(Estimate(ours["value"], low, high, SPEC), ours["value"] - row["value"])
    value, low, high = (None if end is None else float(np.exp(end)) for end in (ours["value"], low, high))
    return Answer(Estimate(value, low, high, SPEC), value / row["value"] - 1)


def _why_missing(rows: pd.DataFrame, row: dict) -> str:
    """Why a method has no number over these tokens of a corpus.

    Args:
        rows: all measurements of the method on the corpus.
    """
    if len(failed := failed_quality(rows)):
        return failed.iloc[0]["status"]
    if rows.empty:
        return f"This study does not score {row['method']} on a corpus {row['corpus']}."
    return f"{row['method']} scores none of these tokens of {row['corpus']}."
