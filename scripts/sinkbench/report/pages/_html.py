"""Pages of our own in the report: one self-contained HTML file that reads on a phone, a screen and paper."""

from html import escape

STYLE = """
:root { color-scheme: light; }
body { margin: 1rem; background: #fff; color: #1a1a1a; font: 14px/1.4 system-ui, sans-serif; }
h1 { margin: 0 0 .75rem; font-size: 1.2rem; overflow-wrap: anywhere; }
p { max-width: 80ch; margin: .75rem 0 0; color: #444; font-size: .93em; overflow-wrap: anywhere; }
main { max-width: 68rem; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1.05rem; border-bottom: 1px solid #1a1a1a; }
article { margin: 1rem 0; break-inside: avoid; }
dl { display: grid; grid-template-columns: 9rem 1fr; gap: .2rem 1rem; margin: 0; max-width: 80ch; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
table { border: solid #1a1a1a; border-width: 2px 0; }
th, td { padding: .4rem .75rem; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid #1a1a1a; vertical-align: bottom; font-size: .93em; }
tbody tr + tr > * { border-top: 1px solid #ddd; }
tbody tr:hover > * { background: #f4f7fa; }
tr > :first-child { position: sticky; left: 0; z-index: 1; background: #fff; padding-left: .25rem; }
tbody th { font-weight: 600; }
th.word { white-space: nowrap; }
th.number, td.number { text-align: right; }
.number span { white-space: nowrap; }
.number .change { white-space: normal; }
.number .marked { position: relative; }
.number .mark { position: absolute; left: 100%; }
small { display: block; color: #555; font-size: .9em; }
sup { font-size: .75em; font-weight: 600; line-height: 0; }
.footnotes { max-width: 80ch; margin: .5rem 0 0; padding-left: 1.4rem; color: #444; font-size: .86em; }
.footnotes li { overflow-wrap: anywhere; }
.text { min-width: 11rem; }
thead button { all: unset; position: relative; cursor: pointer; }
thead button:hover { text-decoration: underline; }
thead button:focus-visible, .scroll:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px; }
thead button::after { position: absolute; left: calc(100% + .1rem); bottom: 0; font-size: .8em; }
thead button::after { content: "\\2195"; color: #999; }
[aria-sort=ascending] button::after { content: "\\25b2"; color: #1a1a1a; }
[aria-sort=descending] button::after { content: "\\25bc"; color: #1a1a1a; }
@media screen and (max-width: 640px) {
  body { margin: .75rem; }
  th, td { padding: .35rem .5rem; }
  tr > :first-child { min-width: 7rem; max-width: 8.5rem; overflow-wrap: break-word; }
  th.word { white-space: normal; }
  thead th.number { min-width: 5rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; }
}
@media print {
  body { margin: 0; font-size: 8pt; }
  .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
  thead button::after { content: none; }
  tr { break-inside: avoid; }
  tr > :first-child { position: static; }
  th, td { padding: .25rem .35rem; }
  .number .note, th.word { white-space: normal; }
  .text { min-width: 6rem; }
  @page { size: landscape; margin: 12mm; }
}
"""


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page; `body`, `style` and `script` are HTML, CSS and JavaScript, all text escaped."""
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
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def sentence_case(text: str) -> str:
    """The text with a capital first letter, and the other letters as they are."""
    return text[:1].upper() + text[1:]
