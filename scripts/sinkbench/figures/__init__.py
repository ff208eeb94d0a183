"""Figures: one file, one word. `sinkbench/figures/<word>.py` defines:

    TITLE, CAPTION         what is shown and how intervals are made; {names} are filled from WORDS
    CATEGORY               the part of the report that it belongs to: one of catalogue.CATEGORIES
    WORDS                  facts of the config that caption and figure need (catalogue.facts)
    draw(measurements, words)   a matplotlib Figure, made without pyplot

`draw` raises readings.NotMeasured if the study lacks the numbers. What figures share is in sinkbench.drawing.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def available() -> list[str]:
    """The figures that exist: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def load(word: str) -> ModuleType:
    """The module of a figure."""
    return import_module(f"{__name__}.{word}")
