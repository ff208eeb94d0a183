"""Results that no job of a config makes: of runs, corpora or tables that it once named and no longer does.

A result that the config names is made again where it is stale (staleness). Any other stays on disk until its
user removes it, since it may be the result of hours.
"""

from pathlib import Path

from sinkbench.artifacts.lineage import RECORD
from sinkbench.report import catalogue
from sinkbench.study.study import Study

MEASURED = ("self_check", "nll", "speed", "profile", "recall", "sinks", "continuations")
FOLDERS = ("tokens", *MEASURED, "tables", "figures")


def orphans(study: Study, results: str | Path) -> list[Path]:
    """Files of the study's results that no job of its config makes, sorted.

    Only FOLDERS count: logs say what was, and a page of the report is there or made anew.
    """
    results, owned = Path(results), _owned(study)
    files = [path for folder in FOLDERS for path in (results / folder).rglob("*") if path.is_file()]
    return sorted(path for path in files if _name(path, results) not in owned)


def describe_orphans(found: list[Path], study: Study) -> str | None:
    """One line for the start of a run; None if there is nothing to say."""
    if not found:
        return None
    what = "1 file belongs" if len(found) == 1 else f"{len(found)} files belong"
    return (
        f"in results/{study.name} {what} to no job of this config; with the config's own options "
        "`snakemake --cores 1 orphans` lists and `snakemake --cores 1 remove_orphans` removes"
    )


def remove_orphans(found: list[Path], results: str | Path) -> None:
    """Remove files, and the folders that they leave empty."""
    for path in found:
        path.unlink()
        for folder in path.relative_to(results).parents[:-1]:
            if any((Path(results) / folder).iterdir()):
                break
            (Path(results) / folder).rmdir()


def _owned(study: Study) -> set[str]:
    """Names of all results below the study's folder, without their endings."""
    measured = {f"{folder}/{name}" for folder, name, _ in study.measuring_jobs()}
    shown = {str(Path(path).with_suffix("")) for path in catalogue.output_specs(study.config)}
    return measured | shown | {f"tokens/{corpus}" for corpus in study.corpora}


def _name(path: Path, results: Path) -> str:
    """The result that a file is, or that it is the record of, without its ending."""
    if path.name.endswith(RECORD):
        path = path.with_name(path.name.removeprefix(".").removesuffix(RECORD) + ".record")
    return str(path.relative_to(results).with_suffix(""))
