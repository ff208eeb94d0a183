"""What each row of the measurements came from, in columns: code, software, hardware, seeds, sources, digests.

A row that compares two jobs tells of its own; the other one has rows of its own, under the name `against`.
"""

from collections.abc import Iterator

import pandas as pd

VERSIONS = ("python", "torch", "transformers", "triton", "numpy", "pandas", "cuda")
SEPARATOR = ", "  # between the parts of one cell
COLUMNS = ("device", "driver", "commit", "dirty", "versions", "seeds", "revisions")
COLUMNS += ("model_sha256", "draft_sha256", "tokens_sha256")


def provenance(plan: dict, notes: dict, corpus: str) -> dict:
    """The columns COLUMNS of the rows of one job.

    Args:
        plan: study.Study.plan().
        notes: of the job's result.
        corpus: whose tokens it read.
    """
    environment, inputs = notes["environment"], notes["inputs"]
    sources = _sources(plan["sources"], corpus, draft_tokens="draft" in inputs)
    versions = {name: environment.get(name) for name in VERSIONS}
    seeds = {name: source.get("seed") for name, source in sources.items()}
    return {
        **{name: environment.get(name) for name in ("device", "driver", "commit", "dirty")},
        "versions": _cell(versions),
        "seeds": _cell({"statistics": plan["statistics"]["seed"]} | seeds),
        "revisions": _cell({name: _revision(source) for name, source in sources.items()}) or None,
        **{f"{name}_sha256": inputs.get(name) for name in ("model", "draft", "tokens")},
    }


def differences(first: pd.DataFrame, second: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """(column, what only the first has, what only the second has) of the provenance of two studies' rows."""
    for column in COLUMNS:
        one, other = (_parts(frame[column]) if column in frame else [] for frame in (first, second))
        only = [[part for part in one if part not in other], [part for part in other if part not in one]]
        if any(only):
            yield column, *(SEPARATOR.join(parts) or "-" for parts in only)


def _sources(sources: dict, corpus: str, draft_tokens: bool) -> dict[str, dict]:
    """Where a job's model, tokenizer and text come from, as the config says."""
    (text,) = (entry for entry in sources["corpora"] if entry["name"] == corpus)
    draft = {"draft": sources["draft"]} if draft_tokens else {}
    return {"model": sources["model"], **draft, "tokenizer": sources["tokenizer"], corpus: text}


def _revision(source: dict) -> str | None:
    """Repository and revision, or package or path and digest of a gguf file; None for what has neither."""
    if "revision" in source:
        return f"{source['repo']}@{source['revision']}"
    origin = source.get("requirement") or source.get("path")
    return f"{origin}@{source['sha256']}" if "sha256" in source else None


def _cell(facts: dict) -> str:
    return SEPARATOR.join(f"{name} {fact}" for name, fact in facts.items() if fact is not None)


def _parts(column: pd.Series) -> list[str]:
    """What the cells of a column say, each part once, in their order."""
    cells = map(str, column.dropna().unique())
    return list(dict.fromkeys(part for cell in cells for part in cell.split(SEPARATOR)))
