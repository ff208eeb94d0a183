"""HTML: one self-contained file, a table on a wide screen and on paper, a card per row on a narrow one."""

from html import escape

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.formats import is_numeric
from sinkbench.webpage import document, paragraph

LONG_CELL = 30  # characters above which a column of text may be broken into lines


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """A page with title, table and caption."""
    return document(title, f"{table_element(table)}\n{paragraph(caption)}")


def table_element(table: pd.DataFrame) -> str:
    """The table alone, for a page that has more on it."""
    kinds = {heading: _kind(table[heading]) for heading in table}
    head = "".join(_tag("th", kind, escape(heading), 'scope="col"') for heading, kind in kinds.items())
    body = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in table.to_dict("records"))
    return f"""<div class="scroll">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>"""


def _row(row: dict, kinds: dict[str, str]) -> str:
    """The cells of a row, the first one as its heading."""
    first, *others = row
    cells = (
        _tag(
            "td",
            kinds[heading] if row[heading] else "empty",
            _cell(row[heading]),
            f'data-heading="{escape(heading)}"',
        )
        for heading in others
    )
    return _tag("th", kinds[first], _cell(row[first]), 'scope="row"') + "".join(cells)


def _cell(cell: Estimate | str) -> str:
    """A number's interval and note go below it."""
    if not isinstance(cell, Estimate):
        return escape(cell)
    below = "".join(f"<small>{escape(line)}</small>" for line in (cell.interval, cell.note) if line)
    return f"<span>{escape(cell.number)}{below}</span>"


def _kind(column: pd.Series) -> str:
    if is_numeric(column):
        return "number"
    return "text" if max(map(len, column)) > LONG_CELL else "word"


def _tag(name: str, kind: str, content: str, attributes: str) -> str:
    return f'<{name} class="{kind}" {attributes}>{content}</{name}>'
