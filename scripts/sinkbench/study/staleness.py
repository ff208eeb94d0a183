"""Find the results of a study that are not of its config, its code and the files that are here.

Snakemake compares with its own records (.snakemake), which a copy of the results may lack, and with dates,
which a copy scrambles. Every result therefore says of itself what it was made from: a stamp of its job's
settings and code, and digests of the files that it was made from. A file that is not on this machine is not
compared, so that results can be rendered where there is no model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sinkbench.artifacts.digests import digest, inputs_of, tokenizer_digest, tokens_digest
from sinkbench.artifacts.files import FAILED
from sinkbench.artifacts.fingerprint import stamp_of
from sinkbench.artifacts.lineage import (
    EDITED,
    LOST,
    from_continuations,
    from_measurements,
    from_results,
    read_lineage,
    read_metadata,
    result_metadata,
    tables_in_lineage,
)
from sinkbench.errors import UserError
from sinkbench.report import catalogue
from sinkbench.study.study import SCHEMA, Study
from sinkbench.text import corpora

MISSING = "missing"
CONTINUATIONS = f"report/{catalogue.CONTINUATIONS}"
ALTERED = (EDITED, LOST)  # what no run of the workflow does
TRIED_AGAIN = "it failed, and is tried again"


@dataclass(frozen=True)
class Product:
    """A result on disk: what it must be made from, and what its notes say (None without notes)."""

    path: Path
    stamp: dict[str, str]
    inputs: dict[str, str | None]
    notes: dict | None

    @property
    def complaint(self) -> str | None:
        """Reason for which the result is stale; None for an up-to-date result."""
        if self.notes is None:
            return "it cannot be read or does not say what it was made from"
        for said in ALTERED:
            if names := self.notes.get(said):
                return f"{', '.join(names)} {said}"
        if not self.stamp.items() <= self.notes.items():
            return "made with another config or other code"
        made_from = self.notes.get("inputs", {})
        changed = [name for name, now in self.inputs.items() if now and now != made_from.get(name)]
        if changed:
            return f"made from other {', '.join(changed)}"
        return TRIED_AGAIN if self.notes.get("status", "ok").startswith(FAILED) else None


def stale(study: Study, results: str | Path) -> dict[str, str]:
    """Paths of the stale results on disk, each with the reason.

    Raises:
        UserError: a token file is damaged, which nothing should be made anew for.
    """
    complaints = {str(product.path): product.complaint for product in _products(study, Path(results))}
    return {path: complaint for path, complaint in complaints.items() if complaint}


def _products(study: Study, results: Path) -> Iterator[Product]:
    old = set()
    for corpus in study.corpora:
        path = results / f"tokens/{corpus}.parquet"
        tokens = list(_tokens(study, corpus, path))
        yield from tokens
        old |= set() if tokens and not tokens[0].complaint else {path}
    table, measured = results / "measurements.parquet", []
    read = tables_in_lineage(table) | tables_in_lineage(results / CONTINUATIONS)
    for folder, name, settings in study.measuring_jobs():
        path = results / folder / f"{name}.parquet"
        tokens = results / f"tokens/{settings['tokens']['corpus']['name']}.parquet"
        measured += [] if folder == "continuations" else [path]
        if path.exists():
            inputs = inputs_of(settings, tokens) | ({"tokens": "made again"} if tokens in old else {})
            yield Product(path, stamp_of(settings), inputs, result_metadata(path, read))
    if table.exists():
        yield Product(table, stamp_of(study.plan()), from_results(measured, SCHEMA), read_lineage(table))
    yield from _rendered(study, results)


def _tokens(study: Study, corpus: str, path: Path) -> Iterator[Product]:
    if not path.exists():
        return
    if (notes := read_metadata(path)) is None or tokens_digest(path) is None:
        raise UserError(
            f"{path}: not a readable result; to make it again and keep what was measured on it: "
            f"rm {path} && snakemake --cores 1 tokenize"
        )
    settings = study.tokens_settings(corpus)
    inputs = {
        "tokenizer": tokenizer_digest(settings["tokenizer"]),
        "texts": corpora.digest(settings["corpus"]),
    }
    yield Product(path, stamp_of(settings), inputs, notes)


def _rendered(study: Study, results: Path) -> Iterator[Product]:
    measured = _required(from_measurements(results / "measurements.parquet"))
    for name, spec in catalogue.output_specs(study.config).items():
        path = results / name
        if path.exists():
            inputs = _continued(results, spec) if path == results / CONTINUATIONS else measured
            yield Product(path, stamp_of(spec), inputs, read_lineage(path))


def _continued(results: Path, spec: dict) -> dict:
    paths = [results / f"continuations/{run}.parquet" for run in spec["runs"]]
    return from_continuations(paths, spec) | _required({"continuations": digest(paths)})


def _required(inputs: dict) -> dict:
    """Inputs without which nobody knows what a page shows."""
    return {name: found or MISSING for name, found in inputs.items()}
