"""Small text files, written whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from sinkbench.errors import UserError, shown

SPECIAL = "{}<>\n\r"  # in a path, Snakemake takes them for wildcards, or its files break in two
FAILED = "failed: "  # begins the status of a run that ended in an error; the next study tries it again


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block succeeds."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that replaces the folder `path` if the block succeeds."""
    path = Path(path)
    partial, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("partial", "old"))
    _remove_left_folders(path)
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            os.rename(path, old)
        os.rename(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if old.exists() and not path.exists():
            os.rename(old, path)
        for folder in (partial, old):
            shutil.rmtree(folder, ignore_errors=True)


def _remove_left_folders(path: Path) -> None:
    """Remove what killed processes of this machine left of earlier folders in the place of `path`."""
    for partial in path.parent.glob(f".{escape(path.name)}.*.partial"):
        if not _is_alive(partial):
            shutil.rmtree(partial, ignore_errors=True)


def _is_alive(partial: Path) -> bool:
    """Whether the process that writes a temporary file or folder runs."""
    return Path("/proc", partial.name.split(".")[-2]).exists()


def special_in(path: str | Path) -> list[str]:
    """Characters of a path that Snakemake would not take as they are."""
    return [character for character in SPECIAL if character in str(path)]


def check_path(path: str | Path) -> None:
    """Raise UserError for a path that Snakemake would not take as it is."""
    if found := special_in(path):
        raise UserError(
            f"{shown(str(path))}: a path with {shown(found[0])} is none that Snakemake can read; rename it"
        )


def write_json(path: str | Path, content: dict) -> None:
    """Write indented JSON."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: str | Path, content: str) -> None:
    """Write a text file."""
    with atomic_write(path) as partial:
        partial.write_text(content, encoding="utf-8")


def read_json(path: str | Path) -> dict:
    """Read JSON; UserError if the file is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable record ({error}); delete it and run again") from error


def remove_partials(folder: str | Path) -> None:
    """Remove the temporary files that killed processes of this machine left anywhere below `folder`."""
    for partial in Path(folder).rglob(".*.partial"):
        if not _is_alive(partial):
            partial.unlink(missing_ok=True)
