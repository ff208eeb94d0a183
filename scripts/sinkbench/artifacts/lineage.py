"""Lineage of a result, in the notes of a table or in a record beside other files.

A record also holds digests, so that an edit of what was made, or of what it was made from, is seen.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet

from sinkbench.artifacts.digests import digest, file_digest, tokenizer_digest
from sinkbench.artifacts.files import read_json, write_json
from sinkbench.artifacts.fingerprint import settings_hash, stamp_here
from sinkbench.errors import UserError

EDITED, LOST = "was edited", "is missing"  # what became of a file since it was made
RECORD = ".made.json"  # how the name of a record ends, behind a dot and the stem of what it describes


def write_lineage(outputs: list[str], settings: dict, inputs: dict, results: Iterable[str] = ()) -> None:
    """Write the lineage of files beside them: inputs, stamp and the files' own digests.

    Args:
        results: tables that went into them.
    """
    made = {Path(path).name: file_digest(path) for path in outputs}
    read = {str(path): [settings_hash(read_metadata(path)), file_digest(path)] for path in results}
    record = stamp_here(settings) | {"inputs": inputs, "made": made, "read": read}
    write_json(_record(outputs[0]), record)


def read_lineage(path: str | Path) -> dict | None:
    """Read the record beside a file; None without a record.

    Under EDITED and LOST it names the files that are not what was made, and those that are not there.
    """
    try:
        record = read_json(_record(path))
        now = {name: _digest(Path(path).with_name(name)) for name in record["made"]}
    except (UserError, KeyError):
        return None
    edited = [name for name, found in now.items() if found not in (None, record["made"][name])]
    return record | {EDITED: edited, LOST: [name for name, found in now.items() if found is None]}


def tables_in_lineage(path: str | Path) -> dict[str, list[str]]:
    """Tables that went into a file, by path: digests of notes and of the whole table at that time."""
    try:
        return read_json(_record(path)).get("read", {})
    except UserError:
        return {}


def result_metadata(path: str | Path, read: dict[str, list[str]]) -> dict | None:
    """The notes of a table, whose EDITED names the table if somebody edited the table since.

    What is measured again either has other notes, times among them, or is the same again to the last bit.

    Args:
        read: tables_in_lineage of what was made from it.
    """
    notes = read_metadata(path)
    of, made = read.get(str(path), (None, None))
    edited = notes and of == settings_hash(notes) and made != file_digest(path)
    return notes and notes | {EDITED: [Path(path).name] if edited else []}


def read_metadata(path: str | Path) -> dict | None:
    """Read the notes of a table (parquet.write_table); None if the table is damaged or not ours."""
    try:
        return json.loads(pyarrow.parquet.read_schema(path).metadata[b"sinkbench"])
    except (KeyError, TypeError, OSError, pyarrow.ArrowException, ValueError):
        return None


def from_measurements(path: str | Path) -> dict:
    """Inputs of a file that is rendered from the measurements."""
    return {"measurements": digest([path])}


def from_results(paths: list, schema: str | Path) -> dict:
    """Inputs of the measurements."""
    return {"results": digest([*paths, schema])}


def from_continuations(paths: list, facts: dict) -> dict:
    """Inputs of the page of continuations.

    Args:
        facts: catalogue.continuation_facts().
    """
    return {"continuations": digest(paths), "tokenizer": tokenizer_digest(facts["tokenizer"])}


def _digest(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None


def _record(path: str | Path) -> Path:
    return Path(path).with_name(f".{Path(path).stem}{RECORD}")
