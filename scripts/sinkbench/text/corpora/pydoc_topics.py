"""English that every Python has: chapters of its language reference, as `help()` shows them.

Technical prose with some code between, in the standard library's pydoc_data.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sinkbench.errors import UserError, check_name


def find(settings: dict) -> list[Path]:
    """The one file that holds all chapters; UserError for one that it lacks."""
    found = find_spec("pydoc_data") and find_spec("pydoc_data.topics")
    if not found:
        raise UserError(f"corpora.{settings['name']}: this Python comes without pydoc_data.topics")
    for name in settings["topics"]:
        check_name(name, _chapters(), f"corpora.{settings['name']}.topics")
    return [Path(found.origin)]


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(chapter, text) of settings["topics"], in the order of the config."""
    find(settings)
    return ((name, _chapters()[name]) for name in settings["topics"])


def _chapters() -> dict[str, str]:
    from pydoc_data.topics import topics  # half a megabyte, which most plans do not need

    return topics
