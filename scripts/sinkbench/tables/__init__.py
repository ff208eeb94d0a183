"""Tables: one file, one word. `sinkbench/tables/<word>.py` defines:

    TITLE, CAPTION         what is shown, units, how intervals are made; {names} are filled from WORDS
    CATEGORY               the part of the report that it belongs to: one of catalogue.CATEGORIES
    WORDS                  facts of the config that caption and table need (catalogue.facts)
    build(measurements, words)   the table

`build` gets the tidy table of measurements and the facts by name. It returns a DataFrame whose headings
carry the units and whose cells are strings or cells.Estimate; an empty string is an empty cell.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import pandas as pd

from sinkbench.cells import Estimate


def available() -> list[str]:
    """The tables that exist: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def load(word: str) -> ModuleType:
    """The module of a table."""
    return import_module(f"{__name__}.{word}")


def without_empty_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Only columns that some row fills: a study has no column for what it does not measure."""
    filled = [column for column in table if any(isinstance(cell, Estimate) or cell for cell in table[column])]
    return table[filled]
