"""Token files: one parquet per corpus, one row per document, and a record of how they were made.

Token ids depend on a text and the tokenizer's own rules alone (artifacts.tokenizer_file).
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from sinkbench.artifacts.digests import tokenizer_digest
from sinkbench.artifacts.files import write_json
from sinkbench.artifacts.fingerprint import stamp_here, stamp_of
from sinkbench.artifacts.hub import file_sha256
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.artifacts.tokenizer_file import read_rules, tokenizer_path
from sinkbench.errors import UserError, shown
from sinkbench.runtime.progress import Progress
from sinkbench.text import corpora
from sinkbench.text.corpora import documents


def tokenize(settings: dict, tokens_path: str, record_path: str) -> None:
    """Write the token file and its record.

    Args:
        settings: {"corpus": an entry of the config's `corpora`, "tokenizer": ..., "code": fingerprint}.

    The file has the columns document, token_ids (list of int32) and sha256 (of the ids, little-endian int32).
    A document that is empty or blank is left out; the file's notes and the record name it.

    Raises:
        UserError: a text or the tokenizer cannot be read, or no document has text.
    """
    stamp, corpus = stamp_here(settings), settings["corpus"]
    path = tokenizer_path(settings["tokenizer"])
    rows, blank = _rows(corpus, path)
    if not rows:
        raise UserError(f"corpora.{corpus['name']}: no document has text ({len(blank)} are empty)")
    frame = pd.DataFrame(rows)
    inputs = {"tokenizer": tokenizer_digest(settings["tokenizer"]), "texts": corpora.digest(corpus)}
    write_table(tokens_path, frame, {**stamp, "inputs": inputs, "blank": blank})
    write_json(record_path, stamp | _record(settings, frame, blank, path))


def _rows(corpus: dict, path: Path) -> tuple[list[dict], list[str]]:
    """Rows of the documents that have text, and names of those that have none."""
    tokenizer = load_tokenizer(path)
    start = _start_ids(tokenizer, corpus, path)
    rows, blank = [], []
    with Progress(f"tokenize {corpus['name']}", unit="documents") as progress:
        for name, text in documents(corpus):
            if not text.strip():
                print(f"{name}: empty, left out")
                blank.append(name)
                continue
            ids = start + tokenizer.encode(text, add_special_tokens=False).ids
            rows.append(_row(name, ids[: corpus.get("max_tokens")]))
            progress(1)
    return rows, blank


def load_tokenizer(path: Path) -> Tokenizer:
    """Load the rules of a tokenizer.json that turn text into ids; UserError if it is missing or damaged."""
    rules = json.dumps(read_rules(path))
    try:
        return Tokenizer.from_str(rules)
    except Exception as error:  # the library raises no narrower class for what it cannot read
        raise UserError(f"{path}: not a readable tokenizer ({' '.join(str(error).split())})") from None


def load_documents(path: str, settings: dict) -> dict[str, np.ndarray]:
    """Load the token ids, int64 [tokens], of each document of a token file.

    Raises:
        UserError: the file was made with other settings than these (see tokenize), or was altered.
    """
    frame, notes = read_table(path)
    if not stamp_of(settings).items() <= notes.items():
        raise UserError(f"{path}: made with another config or other code; delete it and run again")
    for row in frame.itertuples():
        if _digest(row.token_ids) != row.sha256:
            raise UserError(
                f"{path}: document {shown(row.document)} does not match its recorded hash; delete the file"
            )
    return {row.document: row.token_ids.astype(np.int64) for row in frame.itertuples()}


def _start_ids(tokenizer: Tokenizer, corpus: dict, path) -> list[int]:
    """The id of the token that documents start with, if the config names one."""
    token = corpus.get("start_token")
    if token is None:
        return []
    if tokenizer.token_to_id(token) is None:
        raise UserError(
            f"corpora.{corpus['name']}.start_token: {shown(token)} is not in the vocabulary of {path}"
        )
    return [tokenizer.token_to_id(token)]


def _row(name: str, ids: list[int]) -> dict:
    array = np.asarray(ids, dtype=np.int32)
    return {"document": name, "token_ids": array, "sha256": _digest(array)}


def _digest(ids: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i4").tobytes()).hexdigest()


def _record(settings: dict, frame: pd.DataFrame, blank: list[str], path: Path) -> dict:
    counts = {row.document: len(row.token_ids) for row in frame.itertuples()}
    return {
        "corpus": settings["corpus"],
        "tokenizer": settings["tokenizer"],
        "tokenizer_sha256": file_sha256(path),
        "documents": len(counts),
        "blank": blank,
        "tokens": sum(counts.values()),
        "tokens_per_document": counts,
        "sha256_per_document": dict(zip(frame.document, frame.sha256, strict=True)),
    }
