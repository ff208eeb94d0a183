"""Formats of a table: a file each. `report/formats/<extension>.py` defines:

    render(table, title, caption)   the whole file as text

The table's cells are strings or estimate.Estimate (see report.tables). Formats for people show it as a Sheet.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sinkbench import registry
from sinkbench.analysis.estimate import Estimate
from sinkbench.artifacts.files import write_text

STATUS = "Status"  # the column whose words become footnotes


@dataclass(frozen=True)
class Sheet:
    """A table as people read it.

    cells: without the column of statuses. marks: of each row the number of its footnote, or nothing.
    notes: the footnotes, from number 1 on.
    """

    cells: pd.DataFrame
    marks: list[str]
    notes: list[str]


def write(path: str | Path, table: pd.DataFrame, title: str, caption: str) -> None:
    """Write the table in the format that the path's extension names."""
    write_text(path, registry.load("report/formats", Path(path).suffix[1:]).render(table, title, caption))


def sheet(table: pd.DataFrame) -> Sheet:
    """The table with statuses as footnotes, and with what most cells of a column note in its heading."""
    statuses = list(table[STATUS]) if STATUS in table else [""] * len(table)
    notes = list(dict.fromkeys(filter(None, statuses)))
    marks = [str(notes.index(status) + 1) if status else "" for status in statuses]
    cells = table.drop(columns=STATUS, errors="ignore")
    return Sheet(pd.DataFrame(dict(_column(heading, cells[heading]) for heading in cells)), marks, notes)


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, and so is aligned to the right."""
    return any(isinstance(cell, Estimate) for cell in column)


def _column(heading: str, cells: pd.Series) -> tuple[str, list]:
    """(heading, cells); a note that most numbers of a column share goes into the heading."""
    notes = Counter(cell.note for cell in cells if isinstance(cell, Estimate))
    if not notes or "" in notes:
        return heading, list(cells)
    shared, count = notes.most_common(1)[0]
    if count < 2 or 2 * count < notes.total():
        return heading, list(cells)
    bare = [replace(cell, note="") if getattr(cell, "note", "") == shared else cell for cell in cells]
    return f"{heading} {shared}" + ", or as noted" * (len(notes) > 1), bare
