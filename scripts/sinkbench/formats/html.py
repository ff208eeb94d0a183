"""HTML: one self-contained file, a table on a wide screen and on paper, a card per row on a narrow one."""

from html import escape

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.formats import is_numeric

STYLE = """
:root { color-scheme: light; }
body { margin: 1rem; background: #fff; color: #1a1a1a; font: 14px/1.4 system-ui, sans-serif; }
h1 { margin: 0 0 .75rem; font-size: 1.2rem; }
p { max-width: 80ch; margin: .75rem 0 0; color: #444; font-size: .87rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
table { border: solid #1a1a1a; border-width: 2px 0; }
th, td { padding: .4rem .5rem; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid #1a1a1a; vertical-align: bottom; font-size: .87rem; }
tbody tr + tr > * { border-top: 1px solid #ddd; }
tbody th { position: sticky; left: 0; background: #fff; font-weight: 600; }
th.word { white-space: nowrap; }
.number { text-align: right; }
.number span { white-space: nowrap; }
small { display: block; color: #555; font-size: .8rem; }
.text { min-width: 11rem; }
@media screen and (max-width: 640px) {
  .scroll { overflow: visible; }
  table, tbody, tr, th, td { display: block; }
  thead { display: none; }
  tbody tr { padding: .5rem 0; }
  tbody tr + tr { border-top: 1px solid #1a1a1a; }
  tbody tr > *, tbody tr + tr > * { border: 0; padding: .15rem 0; }
  td { display: flex; justify-content: space-between; gap: 1rem; }
  td::before { content: attr(data-heading); flex: none; color: #555; }
  td.text { display: block; }
  td.text::before { display: block; font-size: .8rem; }
  td.empty { display: none; }
}
@media print {
  body { margin: 0; font-size: 9pt; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
  @page { size: landscape; }
}
"""
LONG_CELL = 30  # characters above which a column of text may be broken into lines


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """A page with title, table and caption."""
    kinds = {heading: _kind(table[heading]) for heading in table}
    head = "".join(_tag("th", kind, escape(heading), 'scope="col"') for heading, kind in kinds.items())
    body = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in table.to_dict("records"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<div class="scroll">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>
<p>{escape(caption)}</p>
</body>
</html>
"""


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
