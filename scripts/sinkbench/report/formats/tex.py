"""LaTeX: a table environment with booktabs rules, to be read in by \\input."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.report.formats import is_numeric, sheet

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\N{MINUS SIGN}": "$-$",
        "<": "$<$",
        ">": "$>$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)
# Shrinks a table that is wider than the text, and leaves a narrower one as it is.
SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
WIDE_TEXT = r"p{0.3\linewidth}"
LONG_CELL = 50  # characters above which a column of text is broken into lines


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """A floating table. Intervals, notes and changes go below their numbers, so that decimals are aligned."""
    shown = sheet(table)
    layout = "".join(_column_type(shown.cells[heading]) for heading in shown.cells)
    heading = _line([_escape(heading) for heading in shown.cells])
    rows = zip(shown.cells.to_numpy().tolist(), shown.marks, strict=True)
    body = [line for cells, mark in rows for line in _row(cells, mark)]
    notes = [rf"\par\textsuperscript{{{n}}} {_escape(note)}" for n, note in enumerate(shown.notes, 1)]
    lines = [
        "% Needs \\usepackage{booktabs,graphicx}",
        r"\begin{table}",
        rf"\caption{{{_escape(title)}. {_escape(caption)}}}",
        r"\centering\footnotesize",
        SHRINK,
        rf"\begin{{tabular}}{{@{{}}{layout}@{{}}}}",
        *(r"\toprule", heading, r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}}",
        *([r"\raggedright\scriptsize", *notes] if notes else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _column_type(column: pd.Series) -> str:
    if is_numeric(column):
        return "r"
    return WIDE_TEXT if max(map(len, column)) > LONG_CELL else "l"


def _row(cells: list[Estimate | str], mark: str) -> Iterator[str]:
    """A line of numbers and words; lines of intervals, of notes and of changes if there are any."""
    first, *others = map(_first, cells)
    footnote = rf"\textsuperscript{{{mark}}}" if mark else ""
    yield _line([first + footnote, *others])
    shown = [getattr(cell, "below", {}) for cell in cells]
    for kind in ("interval", "note", "change"):
        if any(kind in lines for lines in shown):
            texts = [lines.get(kind, "") for lines in shown]
            yield _line([rf"\scriptsize {_escape(text)}" if text else "" for text in texts])
    yield r"\addlinespace"


def _first(cell: Estimate | str) -> str:
    """A word, or a number whose mark takes no room."""
    if not isinstance(cell, Estimate):
        return _escape(cell)
    mark = rf"\rlap{{{cell.mark}}}" if cell.mark else ""
    return _escape(cell.number.removesuffix(cell.mark)) + mark


def _line(cells: list[str]) -> str:
    """A line of the table; a bracket or star at its beginning would be an argument of the line above."""
    line = " & ".join(cells) + r" \\"
    return "{}" + line if line.startswith(("[", "*")) else line


def _escape(text: str) -> str:
    """Text of one line without meaning to LaTeX; an empty line in a cell would be an error."""
    return " ".join(text.split()).translate(ESCAPES)
