"""What a result says that it was made from: in the notes of a table, in a record beside a rendered file."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet

from sinkbench.errors import UserError
from sinkbench.records import read_json, stamp, write_json
from sinkbench.sources import digest, file_digest, tokenizer_digest


def record_made(outputs: list[str], settings: dict, inputs: dict) -> None:
    """Write beside rendered files what they were made from, and their own digests."""
    made = {Path(path).name: file_digest(path) for path in outputs}
    write_json(_record(outputs[0]), {"stamp": stamp(settings), "inputs": inputs, "made": made})


def made_notes(path: str | Path) -> dict | None:
    """The record beside a rendered file; None without one, or if a file is no longer what was made."""
    try:
        record = read_json(_record(path))
        whole = all(file_digest(Path(path).with_name(name)) == made for name, made in record["made"].items())
    except (UserError, OSError, KeyError):
        return None
    return record if whole else None


def table_notes(path: str | Path) -> dict | None:
    """The notes of a table (store.write_table), without its numbers; None if it is damaged or not ours."""
    try:
        return json.loads(pyarrow.parquet.read_schema(path).metadata[b"sinkbench"])
    except (KeyError, TypeError, OSError, pyarrow.ArrowException, ValueError):
        return None


def from_measurements(path: str | Path) -> dict:
    """Inputs of what is rendered from the measurements."""
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


def _record(path: str | Path) -> Path:
    return Path(path).with_name(f".{Path(path).stem}.made.json")
