"""HTML: one self-contained file with a table that is sorted by its headings and scrolls in its own box."""

from html import escape

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.report.formats import is_numeric
from sinkbench.report.formats._sortable import SCRIPT
from sinkbench.report.pages._html import document, paragraph

LONG_CELL = 30  # characters above which a column of text may be broken into lines


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """A page with title, table and caption."""
    return document(title, f"{table_element(table, title)}\n{paragraph(caption)}", script=SCRIPT)


def table_element(table: pd.DataFrame, name: str) -> str:
    """The table alone, for a page that has more on it; its page needs _sortable.SCRIPT.

    Args:
        name: what the box that scrolls is called to those who hear the page.
    """
    kinds = {heading: _kind(table[heading]) for heading in table}
    head = "".join(
        f'<th class="{kind}" scope="col">{escape(heading)}</th>' for heading, kind in kinds.items()
    )
    body = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in table.to_dict("records"))
    return f"""<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>"""


def _row(row: dict, kinds: dict[str, str]) -> str:
    """The cells of a row, the first one as its heading."""
    first, *others = (_cell(cell, kinds[heading]) for heading, cell in row.items())
    return f'<th scope="row" {first}</th>' + "".join(f"<td {cell}</td>" for cell in others)


def _cell(cell: Estimate | str, kind: str) -> str:
    """Attributes and content of a cell; a number's interval and note go below it."""
    if not isinstance(cell, Estimate):
        return f'class="{kind}">{escape(cell)}'
    lines = {"interval": cell.interval, "note": cell.note}
    below = "".join(f'<small class="{name}">{escape(line)}</small>' for name, line in lines.items() if line)
    return f'class="{kind}" data-value="{float(cell.value)!r}"><span>{_number(cell)}{below}</span>'


def _number(cell: Estimate) -> str:
    """The number; a mark hangs to its right, so that decimals stay below each other."""
    digits = escape(cell.number.removesuffix(cell.mark))
    mark = f'<span class="mark">{cell.mark}</span>'
    return f'<span class="marked">{digits}{mark}</span>' if cell.mark else digits


def _kind(column: pd.Series) -> str:
    if is_numeric(column):
        return "number"
    return "text" if max(map(len, column)) > LONG_CELL else "word"
