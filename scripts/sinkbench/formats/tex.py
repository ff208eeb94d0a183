"""LaTeX: a table environment with booktabs rules, to be read in by \\input."""

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.formats import is_numeric

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
    """A floating table."""
    layout = "".join(_column_type(table[heading]) for heading in table)
    body = [_line(row) for row in table.to_numpy().tolist()]
    lines = [
        "% Needs \\usepackage{booktabs,graphicx}",
        r"\begin{table}",
        rf"\caption{{{_escape(title)}. {_escape(caption)}}}",
        r"\centering\footnotesize",
        SHRINK,
        rf"\begin{{tabular}}{{@{{}}{layout}@{{}}}}",
        *(r"\toprule", _line(list(table)), r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _column_type(column: pd.Series) -> str:
    if is_numeric(column):
        return "r"
    return WIDE_TEXT if max(map(len, column)) > LONG_CELL else "l"


def _line(cells: list[Estimate | str]) -> str:
    return " & ".join(_escape(str(cell)) for cell in cells) + r" \\"


def _escape(cell: str) -> str:
    return cell.translate(ESCAPES)
