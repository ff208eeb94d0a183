"""A dataset of the hub at a pinned revision, or one in a local folder, read from its parquet files."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sinkbench.artifacts.hub import check_fetched, local_folder
from sinkbench.errors import UserError, first_line, shown
from sinkbench.text.corpora import MARK, find_files

TEXT_TYPES = ("string", "large_string", "string_view", "null")  # as Arrow calls them; null: nothing but nulls


def find(settings: dict) -> list[Path]:
    """The parquet files that match settings["files"]."""
    paths = find_files(settings["files"], local_folder(settings))
    if not paths:
        missing, folder = shown(settings["files"]), local_folder(settings)
        raise UserError(f"{_where(settings)}.files: no {missing} in {folder}")
    return paths


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """Yield one document per row, or one of all rows joined by blank lines (settings["join_rows"])."""
    if settings["source"] == "hub":
        check_fetched(settings)
    rows = ((row or "").lstrip(MARK) for path in find(settings) for row in _column(path, settings))
    texts = _chosen(settings, list(islice(rows, _count(settings))))
    if settings.get("join_rows", False):
        yield settings["name"], "\n\n".join(texts.values())
        return
    digits = len(str(1 + max(texts, default=0)))
    for row, text in texts.items():
        yield f"{settings['name']}-{row:0{digits}}", text


def _count(settings: dict) -> int | None:
    """Rows to be read; None for all."""
    if "rows" in settings:
        return 1 + max(settings["rows"])
    return settings.get("max_documents")


def _chosen(settings: dict, texts: list[str]) -> dict[int, str]:
    """By row, the texts of settings["rows"] in the dataset's order, or all."""
    wanted = sorted(settings.get("rows", range(len(texts))))
    if wanted and wanted[-1] >= len(texts):
        raise UserError(
            f"{_where(settings)}.rows: {wanted[-1]} is not a row of the dataset, which has {len(texts)}, "
            "counted from 0"
        )
    return {row: texts[row] for row in wanted}


def _column(path: Path, settings: dict) -> Iterator[str | None]:
    """Rows of the column of one file, some at a time."""
    import pyarrow  # here, since the workflow is planned with `find`, which does not need it
    import pyarrow.parquet

    name = settings["column"]
    try:
        # An open file, since pyarrow reads names of its own into a path.
        with open(path, "rb") as source, pyarrow.parquet.ParquetFile(source) as file:
            _check_column(path, settings, file.schema_arrow)
            for batch in file.iter_batches(columns=[name]):
                yield from batch.column(name).to_pylist()
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        said = first_line(error)
        raise UserError(f"{_where(settings)}: {path} cannot be read as parquet: {said}") from error


def _check_column(path: Path, settings: dict, schema) -> None:
    texts = [field.name for field in schema if _is_text(field.type)]
    if texts.count(settings["column"]) != 1:
        column, held = shown(settings["column"]), ", ".join(texts) or "none"
        raise UserError(
            f"{_where(settings)}.column: {column} is not a column of text in {path} (there: {held})"
        )


def _is_text(kind) -> bool:
    """Whether Arrow's type is one of texts, or of numbers that stand for texts."""
    stands_for = kind.value_type if str(kind).startswith("dictionary") else kind
    return str(stands_for) in TEXT_TYPES


def _where(settings: dict) -> str:
    return f"corpora.{settings['name']}"
