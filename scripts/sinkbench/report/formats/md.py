"""Markdown (pipe tables, as GitHub and pandoc read them)."""

import re

import pandas as pd

from sinkbench.report.formats import is_numeric, sheet

MARKUP = re.compile(r"[\\|*_`<~$]|&(?=[#\w]+;)|](?=[(\[:])")


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """Title, table, footnotes, caption."""
    shown = sheet(table)
    rule = ["---:" if is_numeric(shown.cells[heading]) else ":---" for heading in shown.cells]
    lines = [list(shown.cells), rule, *shown.cells.to_numpy().tolist()]
    marks = ["", "", *(f"<sup>{mark}</sup>" * bool(mark) for mark in shown.marks)]
    rows = [_row(line, mark) for line, mark in zip(lines, marks, strict=True)]
    notes = [f"<sup>{number}</sup> {_escape(note)}\n" for number, note in enumerate(shown.notes, 1)]
    return "\n".join([f"## {title}", "", *rows, "", *notes, caption, ""])


def _row(cells: list, mark: str) -> str:
    texts = [_escape(str(cell)) + mark * (column == 0) for column, cell in enumerate(cells)]
    return f"| {' | '.join(texts)} |"


def _escape(cell: str) -> str:
    """Text of one line without meaning to Markdown, where a bracket needs an address to mean anything."""
    return MARKUP.sub(r"\\\g<0>", " ".join(cell.split()))
