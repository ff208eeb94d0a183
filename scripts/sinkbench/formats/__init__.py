"""Formats of a table: one file, one file name extension. `sinkbench/formats/<extension>.py` defines:

    render(table, title, caption)   the whole file as text

The table's cells are strings or cells.Estimate (see sinkbench.tables).
"""

from importlib import import_module
from pathlib import Path

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.records import write_text


def write(path: str | Path, table: pd.DataFrame, title: str, caption: str) -> None:
    """Write the table in the format that the path's extension names."""
    module = import_module(f"{__name__}.{Path(path).suffix[1:]}")
    write_text(path, module.render(table, title, caption))


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, and so is aligned to the right."""
    return any(isinstance(cell, Estimate) for cell in column)
