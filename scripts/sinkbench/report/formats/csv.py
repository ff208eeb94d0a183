"""Comma-separated values for programs: full precision, intervals and notes in columns of their own."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.report.formats import is_numeric

PARTS = {"": "value", " low": "low", " high": "high", " note": "note"}
CHANGE = {" change [%]": "value", " change [%] low": "low", " change [%] high": "high"}


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """One line per row; title and caption have no place in it."""
    columns = {}
    for heading in table:
        parts = _split(table[heading]) if is_numeric(table[heading]) else {"": list(table[heading])}
        columns |= {f"{heading}{suffix}": cells for suffix, cells in parts.items()}
    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def _split(column: pd.Series) -> dict[str, list]:
    """Parts of each cell and of its change by the heading's suffix; only what some cell has."""
    changes = [getattr(cell, "change", None) for cell in column]
    split = {suffix: [_part(cell, name) for cell in column] for suffix, name in PARTS.items()}
    split |= {suffix: [_part(change, name) for change in changes] for suffix, name in CHANGE.items()}
    return {suffix: cells for suffix, cells in split.items() if any(cell not in (None, "") for cell in cells)}


def _part(cell: Estimate | str | None, name: str):
    if isinstance(cell, Estimate):
        return getattr(cell, name)
    return cell if name == "value" else None
