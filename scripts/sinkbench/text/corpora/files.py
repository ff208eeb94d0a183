"""Local UTF-8 text files, one document each, sorted by name."""

import os
from collections.abc import Iterator
from pathlib import Path

from sinkbench.errors import UserError, shown
from sinkbench.text.corpora import find_files, read_text


def find(settings: dict) -> list[Path]:
    """The files that match settings["glob"]; `~` is the user's home."""
    paths = find_files(os.path.expanduser(settings["glob"]))
    if not paths:
        raise UserError(f"corpora.{settings['name']}.glob: no file matches {shown(settings['glob'])}")
    return paths


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(file name without its ending, text) of every file; bytes of a name that are not UTF-8 are escaped."""
    for path in find(settings):
        yield path.stem.encode("utf-8", "backslashreplace").decode(), read_text(path)
