"""A dataset of the hub at a pinned revision, read offline from the parquet files that `fetch` brought."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sinkbench.artifacts.hub import check_fetched, local_folder
from sinkbench.errors import UserError

TEXT_TYPES = ("string", "large_string")  # as Arrow calls them


def find(settings: dict) -> list[Path]:
    """The parquet files that match settings["files"]."""
    paths = sorted(local_folder(settings).glob(settings["files"]))
    if not paths:
        raise UserError(f"{_where(settings)}.files: no {settings['files']!r} in {local_folder(settings)}")
    return paths


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """Yield one document per row, or one of all rows joined by blank lines (settings["join_rows"])."""
    if settings["source"] == "hub":
        check_fetched(settings)
    texts = _texts(settings, find(settings))
    if settings.get("join_rows", False):
        yield settings["name"], "\n\n".join(texts)
        return
    digits = len(str(len(texts)))
    for row, text in enumerate(texts):
        yield f"{settings['name']}-{row:0{digits}}", text


def _texts(settings: dict, paths: list[Path]) -> list[str]:
    """The column's rows. Streamed, with a cache of its own, so that nothing is left in the user's home."""
    import pyarrow  # here, since the workflow is planned with `find`, which needs neither
    from datasets import load_dataset

    files = list(map(str, paths))
    try:
        with TemporaryDirectory() as cache:
            rows = load_dataset("parquet", data_files=files, split="train", streaming=True, cache_dir=cache)
            _check_column(settings, rows.features.arrow_schema)
            wanted = rows.take(settings["max_documents"]) if "max_documents" in settings else rows
            return [row[settings["column"]] or "" for row in wanted]
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{_where(settings)}: cannot read {paths[0].parent}/*.parquet: {reason}") from error


def _check_column(settings: dict, schema) -> None:
    texts = [field.name for field in schema if field.type in TEXT_TYPES]
    if settings["column"] not in texts:
        held = ", ".join(texts) or "there is none"
        raise UserError(f"{_where(settings)}.column: {settings['column']!r} is not a column of text ({held})")


def _where(settings: dict) -> str:
    return f"corpora.{settings['name']}"
