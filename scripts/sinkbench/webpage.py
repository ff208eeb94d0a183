"""Pages of our own in the report: one self-contained HTML file that reads on a phone, a screen and paper."""

from html import escape

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
  .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
  @page { size: landscape; }
}
"""


def document(title: str, body: str, style: str = "") -> str:
    """A whole page; `body` and `style` are HTML and CSS already, with all text escaped."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"
