"""Corpora: one file, one kind. `sinkbench/corpora/<kind>.py` defines `documents(settings)`.

It yields (name, text) pairs and raises UserError when the corpus is not there.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from sinkbench.errors import UserError


def available() -> list[str]:
    """The kinds of corpus that exist."""
    return sorted(module.name for module in iter_modules(__path__))


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(name, text) of each document of one entry of the config's `corpora`, none of them empty."""
    for name, text in import_module(f"{__name__}.{settings['kind']}").documents(settings):
        if not text.strip():
            raise UserError(f"corpora.{settings['name']}: document {name!r} is empty")
        yield name, text
