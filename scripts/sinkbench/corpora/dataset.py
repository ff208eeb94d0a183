"""A dataset of the hub at a pinned revision, read offline from the parquet files that `fetch` brought."""

from collections.abc import Iterator

from sinkbench.errors import UserError
from sinkbench.hub import check_record, local_folder


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """One document per row, or all rows joined by blank lines into one (settings["join_rows"])."""
    texts = _rows(settings)
    if settings.get("join_rows", False):
        yield settings["name"], "\n\n".join(texts)
        return
    digits = len(str(len(texts)))
    for row, text in enumerate(texts):
        yield f"{settings['name']}-{row:0{digits}}", text


def _rows(settings: dict) -> list[str]:
    from datasets import load_dataset

    if settings["source"] == "hub":
        check_record(settings)
    files = sorted(map(str, local_folder(settings).glob(settings["files"])))
    if not files:
        raise UserError(f"corpora.{settings['name']}.files: no {settings['files']!r} in {local_folder(settings)}")
    rows = load_dataset("parquet", data_files=files, split="train")
    if settings["column"] not in rows.column_names:
        raise UserError(
            f"corpora.{settings['name']}.column: {settings['column']!r} is not one of {', '.join(rows.column_names)}"
        )
    return rows[: settings.get("max_documents") or len(rows)][settings["column"]]
