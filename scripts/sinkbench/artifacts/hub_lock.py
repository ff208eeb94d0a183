"""Expected digests of the hub's files: those that a config states, and those of the first fetch.

Whoever serves a file also says which hash it has, so a mirror could vouch for other weights. The first fetch
therefore writes the sha256 of each file into a lock, one file a line. Every later fetch is compared with it.
"""

import fcntl
import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from sinkbench.artifacts.files import read_json, write_text
from sinkbench.artifacts.hub import ROOT, record_path
from sinkbench.errors import UserError, first_line

LOCK = Path("resources/hub.lock")
HEADER = "# sha256 of the hub's files as first fetched, compared at every fetch (docs/trust.md)\n"


def check_listing(
    repo: str, revision: str, names: Sequence[str], patterns: Sequence[str], stated: Mapping[str, str]
) -> None:
    """Raise UserError for files that are missing, or that came to those of a pattern that are expected.

    A checkpoint with one more file could be loaded from that one.

    Args:
        names: files that the hub lists.
        patterns: those by which they were chosen.
        stated: sha256 of the config, by file; they all must be listed.
    """
    start = _key(repo, revision, "")
    locked = [key.removeprefix(start) for key in _read() if key.startswith(start)]
    for name in stated:
        if name not in names:
            raise UserError(f"config: sha256: {start}{name} is not among the files: {', '.join(names)}")
    for expected, source, remedy in ((list(stated), *_config()), (locked, *_lock(repo, revision))):
        for pattern in patterns:
            known, found = (set(fnmatch.filter(files, pattern)) for files in (expected, names))
            if known and known != found:
                raise UserError(
                    f"{source}: {start}{pattern}: expected {', '.join(sorted(known))}, "
                    f"got {', '.join(sorted(found))}; to accept that, {remedy}"
                )


def check_digests(repo: str, revision: str, found: Mapping[str, str], stated: Mapping[str, str]) -> None:
    """Raise UserError for the first file whose digest is another than the config's or the lock's.

    Args:
        found: sha256 by file.
        stated: those of the config (inputs.stated_digests), by file.
    """
    locked = _read()
    for name, digest in found.items():
        key = _key(repo, revision, name)
        _check(key, digest, stated.get(name), *_config())
        _check(key, digest, locked.get(key), *_lock(repo, revision))


def check_record(repository: dict, stated: Mapping[str, str]) -> None:
    """Raise UserError as check_digests for what was fetched before; it reads the record, not the files."""
    files = read_json(record_path(repository))["files"]
    found = {name: file["sha256"] for name, file in files.items()}
    check_digests(repository["repo"], repository["revision"], found, stated)


def lock_digests(repo: str, revision: str, found: Mapping[str, str]) -> None:
    """Add the digests of fetched files to the lock; other fetches may do so at the same time.

    Raises:
        UserError: the lock has another digest of a file.
    """
    with _alone():
        check_digests(repo, revision, found, {})
        known = _read() | {_key(repo, revision, name): digest for name, digest in found.items()}
        lines = [f"{json.dumps(key)}: {json.dumps(known[key])}\n" for key in sorted(known)]
        write_text(LOCK, HEADER + "".join(lines))


def _check(key: str, found: str, expected: str | None, source: str, remedy: str) -> None:
    if expected not in (None, found):
        raise UserError(f"{source}: {key}: expected sha256 {expected}, got {found}; to accept that, {remedy}")


def _config() -> tuple[str, str]:
    """Where an expectation stands, and how to give it up."""
    return "config", "correct sha256 in the config"


def _lock(repo: str, revision: str) -> tuple[str, str]:
    return str(LOCK), f"delete the lines of {repo}@{revision[:12]}"


def _key(repo: str, revision: str, name: str) -> str:
    return f"{repo}@{revision}/{name}"


def _read() -> dict[str, str]:
    """Digests by file; a lock that is not there has none."""
    if not LOCK.is_file():
        return {}
    try:
        known = yaml.safe_load(LOCK.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{LOCK}: cannot be read ({first_line(error)})") from None
    if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
        raise UserError(f'{LOCK}: every line must be "repository@revision/file": "sha256"')
    return known


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes from writing the lock within the block."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with open(ROOT / ".hub.lock.writer", "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
