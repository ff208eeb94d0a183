"""Corpora: a file each. `text/corpora/<kind>.py` defines, for an entry of the config's `corpora`:

    find(settings)        the files that hold the text, sorted
    documents(settings)   (name, text) of each document

Both raise UserError when the corpus is not there.
"""

from collections.abc import Iterator
from pathlib import Path

from sinkbench import registry
from sinkbench.artifacts import digests
from sinkbench.errors import UserError

PYTHONS = ("stdlib", "pydoc_topics")  # kinds whose text is whatever the interpreter brings


def find(settings: dict) -> list[Path]:
    """The files that hold the text of a corpus."""
    return _kind(settings).find(settings)


def digest(settings: dict) -> str | None:
    """Digest of a corpus's local files (digests.digest); None if the files are not here.

    Texts of the hub have their revision. Those of PYTHONS are whatever Python brings: the token
    file holds them, and stands on a machine with another Python.
    """
    if settings["kind"] in PYTHONS or settings.get("source") == "hub":
        return None
    try:
        return digests.digest(find(settings))
    except UserError:
        return None


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each document of a corpus. No text is empty, and names are distinct."""
    where, names = f"corpora.{settings['name']}", set()
    for name, text in _kind(settings).documents(settings):
        if not text.strip():
            raise UserError(f"{where}: document {name!r} is empty")
        if name in names:
            raise UserError(f"{where}: two documents are called {name!r}")
        names.add(name)
        yield name, text


def read_text(path: Path) -> str:
    """Read the text of a UTF-8 file."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _kind(settings: dict):
    return registry.load("text/corpora", settings["kind"])
