"""Markdown (pipe tables, as GitHub and pandoc read them)."""

import pandas as pd

from sinkbench.report.formats import is_numeric


def render(table: pd.DataFrame, title: str, caption: str) -> str:
    """Title, table, caption."""
    rule = ["---:" if is_numeric(table[heading]) else ":---" for heading in table]
    lines = [list(table), rule, *table.to_numpy().tolist()]
    rows = ("| " + " | ".join(_escape(str(cell)) for cell in line) + " |" for line in lines)
    return "\n".join([f"## {title}", "", *rows, "", caption, ""])


def _escape(cell: str) -> str:
    for character in "\\|*_`<":
        cell = cell.replace(character, f"\\{character}")
    return cell
