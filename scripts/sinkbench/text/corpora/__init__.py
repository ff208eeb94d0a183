"""Corpora: a file each. `text/corpora/<kind>.py` defines, for an entry of the config's `corpora`:

    find(settings)        the files that hold the text, sorted
    documents(settings)   (name, text) of each document

Both raise UserError when the corpus is not there. What is done to every text is done here: a byte-order mark
at its beginning is dropped, and lines end in a line feed. Then the document begins at its `first_character`.
Unicode is normalised by no one but the tokenizer.
"""

from collections.abc import Iterator
from glob import escape, glob
from pathlib import Path

from sinkbench import registry
from sinkbench.artifacts import digests
from sinkbench.artifacts.files import check_path
from sinkbench.errors import UserError, shown

MARK = "\ufeff"  # of the byte order, which some editors put first
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
    """Yield (name, text) of each document of a corpus, blank ones too. Names are distinct."""
    where, names = f"corpora.{settings['name']}", set()
    for name, text in _kind(settings).documents(settings):
        if name in names:
            raise UserError(f"{where}: two documents are called {shown(name)}")
        if "\0" in text:
            raise UserError(f"{where}: document {shown(name)} holds a NUL character, so it is no text")
        names.add(name)
        text = text.lstrip(MARK).replace("\r\n", "\n").replace("\r", "\n")
        yield name, text[settings.get("first_character", 0) :]


def find_files(pattern: str, folder: Path = Path()) -> list[Path]:
    """The file below `folder` that `pattern` names, or else all that match it as a glob, sorted.

    Every name is read once: what is found is opened, hashed and shown under exactly this name. Hidden files
    are no match, unless the pattern begins a name with a dot.

    Raises:
        UserError: the workflow cannot bear a name (check_path).
    """
    is_name = (folder / pattern).is_file()
    names = [pattern] if is_name else glob(_with_names(pattern, folder), root_dir=folder, recursive=True)
    paths = sorted({folder / name for name in names if (folder / name).is_file()})
    for path in paths:
        check_path(path)
    return paths


def _with_names(pattern: str, folder: Path) -> str:
    """The pattern, whose leading folders are names wherever there are such folders."""
    head, rest = Path(), list(Path(pattern).parts)
    while rest[1:] and (folder / head / rest[0]).is_dir():
        head /= rest.pop(0)
    return str(Path(escape(str(head)), *rest))


def read_text(path: Path) -> str:
    """Read the text of a UTF-8 file."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _kind(settings: dict):
    return registry.load("text/corpora", settings["kind"])
