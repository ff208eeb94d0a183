"""Formats of a table: a file each. `report/formats/<extension>.py` defines:

    render(table, title, caption)   the whole file as text

The table's cells are strings or estimate.Estimate (see sinkbench.tables).
"""

from pathlib import Path

import pandas as pd

from sinkbench import registry
from sinkbench.analysis.estimate import Estimate
from sinkbench.artifacts.files import write_text


def write(path: str | Path, table: pd.DataFrame, title: str, caption: str) -> None:
    """Write the table in the format that the path's extension names."""
    write_text(path, registry.load("report/formats", Path(path).suffix[1:]).render(table, title, caption))


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, and so is aligned to the right."""
    return any(isinstance(cell, Estimate) for cell in column)
