"""Result tables: parquet, written whole or not at all, with notes in the file's own metadata."""

import json
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from sinkbench.artifacts.files import atomic_write
from sinkbench.errors import UserError, first_line


def write_table(path: str | Path, frame: pd.DataFrame, notes: dict) -> None:
    """Write a parquet table with `notes` (JSON) in its metadata."""
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), b"sinkbench": json.dumps(notes).encode()}
    with atomic_write(path) as partial:
        pyarrow.parquet.write_table(
            table.replace_schema_metadata(metadata), partial, write_page_checksum=True
        )


def read_table(
    path: str | Path, columns: list[str] | None = None, categories: list[str] | None = None
) -> tuple[pd.DataFrame, dict]:
    """Read a table and its notes; UserError if the file is missing, damaged or not ours.

    Args:
        columns: to be read, instead of all; of none only the notes are.
        categories: columns of texts that repeat, which become pandas' categories.
    """
    options = {"columns": columns, "read_dictionary": categories, "page_checksum_verification": True}
    try:
        table = pyarrow.parquet.read_table(path, **options)
        return table.to_pandas(), json.loads(table.schema.metadata[b"sinkbench"])
    except (KeyError, TypeError):
        reason = "without the notes of this workflow"
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        reason = first_line(error)
    raise UserError(f"{path}: not a readable result ({reason}); delete it and run again")
