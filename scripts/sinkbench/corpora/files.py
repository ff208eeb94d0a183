"""Local UTF-8 text files, one document each, sorted by name."""

from collections.abc import Iterator
from glob import glob
from pathlib import Path

from sinkbench.errors import UserError


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(file name without its ending, text) of every file that matches settings["glob"]."""
    paths = sorted(map(Path, glob(settings["glob"], recursive=True)))
    if not paths:
        raise UserError(f"corpora.{settings['name']}.glob: no file matches {settings['glob']!r}")
    for path in paths:
        try:
            yield path.stem, path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
