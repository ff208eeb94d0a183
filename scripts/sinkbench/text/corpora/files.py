"""Local UTF-8 text files, one document each, sorted by name."""

from collections.abc import Iterator
from glob import glob
from pathlib import Path

from sinkbench.errors import UserError
from sinkbench.text.corpora import read_text


def find(settings: dict) -> list[Path]:
    """The files that match settings["glob"]."""
    paths = sorted(path for path in map(Path, glob(settings["glob"], recursive=True)) if path.is_file())
    if not paths:
        raise UserError(f"corpora.{settings['name']}.glob: no file matches {settings['glob']!r}")
    return paths


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(file name without its ending, text) of every file."""
    return ((path.stem, read_text(path)) for path in find(settings))
