"""HTML: one self-contained file with a table that is sorted by its headings and scrolls in its own box."""

from html import escape

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.report.formats import is_numeric, sheet
from sinkbench.report.formats._sortable import SCRIPT
from sinkbench.report.pages._html import document, paragraph

LONG_CELL = 30  # characters above which a column of text may be broken into lines


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """A page with title, table, footnotes and caption."""
    return document(title, f"{table_element(table, title)}\n{paragraph(caption)}", script=SCRIPT)


def table_element(table: pd.DataFrame, name: str) -> str:
    """The table with its footnotes, for a page that has more on it; its page needs _sortable.SCRIPT.

    Args:
        name: what the box that scrolls is called to those who hear the page.
    """
    shown = sheet(table)
    kinds = {heading: _kind(shown.cells[heading]) for heading in shown.cells}
    head = "".join(
        f'<th class="{kind}" scope="col">{escape(heading)}</th>' for heading, kind in kinds.items()
    )
    rows = zip(shown.cells.to_dict("records"), shown.marks, strict=True)
    body = "\n".join(f"<tr>{_row(row, kinds, mark)}</tr>" for row, mark in rows)
    notes = "".join(f"<li>{escape(note)}</li>" for note in shown.notes)
    return f"""<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>
{f'<ol class="footnotes">{notes}</ol>' if notes else ""}"""


def _row(row: dict, kinds: dict[str, str], mark: str) -> str:
    """The cells of a row, the first one as its heading, with the number of the row's footnote."""
    first, *others = (_cell(cell, kinds[heading]) for heading, cell in row.items())
    footnote = f"<sup>{mark}</sup>" if mark else ""
    return f'<th scope="row" {first}{footnote}</th>' + "".join(f"<td {cell}</td>" for cell in others)


def _cell(cell: Estimate | str, kind: str) -> str:
    """Attributes and content of a cell; a number's interval, note and change go below it."""
    if not isinstance(cell, Estimate):
        return f'class="{kind}">{escape(cell)}'
    lines = {name: escape(_line(name, line)) for name, line in cell.below.items()}
    below = "".join(f'<small class="{name}">{line}</small>' for name, line in lines.items())
    return f'class="{kind}" data-value="{float(cell.value)!r}"><span>{_number(cell)}{below}</span>'


def _line(name: str, line: str) -> str:
    """A line below a number; a change may be broken before its interval alone."""
    if name != "change":
        return line
    return line.replace(", ", ",\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _number(cell: Estimate) -> str:
    """The number; a mark hangs to its right, so that decimals stay below each other."""
    digits = escape(cell.number.removesuffix(cell.mark))
    mark = f'<span class="mark">{cell.mark}</span>'
    return f'<span class="marked">{digits}{mark}</span>' if cell.mark else digits


def _kind(column: pd.Series) -> str:
    if is_numeric(column):
        return "number"
    return "text" if max(map(len, column)) > LONG_CELL else "word"
