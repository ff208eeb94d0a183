"""Parts of a plan that aggregation reads, and the names of what it writes."""

from pathlib import Path

SOURCES = {
    "model": {"source": "hub", "repo": "lab/model", "revision": "0" * 40},
    "draft": {"source": "random", "seed": 7},
    "tokenizer": {"source": "folder", "path": "here"},
    "corpora": [{"name": "c", "source": "hub", "repo": "lab/texts", "revision": "1" * 40}, {"name": "d"}],
}
STATISTICS = {"block_tokens": 4, "resamples": 100, "confidence": 0.9, "seed": 0, "position_bin": 8}


def method(budget: int | None, against: str | None = None) -> dict:
    """What a plan says of a method with this budget, which is compared with `against`."""
    shape = {"budget": budget, "sinks": None if budget is None else 0, "period": 1 if against is None else 4}
    about = {"family": "baseline", "policy": "p", "dtype": "float32", "quantization": "none"}
    return about | shape | {"against": [] if against is None else [against]}


def outputs(folder: Path) -> tuple[Path, Path, Path]:
    """Where aggregation writes its table, the table as CSV, and the environments."""
    return folder / "out.parquet", folder / "out.csv", folder / "environment.json"
