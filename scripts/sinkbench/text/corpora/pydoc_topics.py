"""English that every Python has: chapters of its language reference, as `help()` shows them.

Technical prose with some code between, in the standard library's pydoc_data.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sinkbench.errors import UserError


def find(settings: dict) -> list[Path]:
    """The one file that holds all chapters."""
    found = find_spec("pydoc_data") and find_spec("pydoc_data.topics")
    if not found:
        raise UserError(f"corpora.{settings['name']}: this Python comes without pydoc_data.topics")
    return [Path(found.origin)]


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(chapter, text) of settings["topics"], in the order of the config."""
    find(settings)
    from pydoc_data.topics import topics

    for name in settings["topics"]:
        if name not in topics:
            raise UserError(f"corpora.{settings['name']}.topics: this Python has no chapter {name!r}")
        yield name, topics[name]
