"""Formats of a table: one file, one file name extension. `sinkbench/formats/<extension>.py` defines:

    render(table, title, caption)   the whole file as text

The table's cells are strings or cells.Estimate (see sinkbench.tables).
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.records import write_text


def available() -> list[str]:
    """The formats that exist: one extension per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def load(extension: str) -> ModuleType:
    """The module of a format."""
    return import_module(f"{__name__}.{extension}")


def write(path: str | Path, table: pd.DataFrame, title: str, caption: str) -> None:
    """Write the table in the format that the path's extension names."""
    write_text(path, load(Path(path).suffix[1:]).render(table, title, caption))


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, and so is aligned to the right."""
    return any(isinstance(cell, Estimate) for cell in column)
