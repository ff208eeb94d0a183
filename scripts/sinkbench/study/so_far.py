"""What a study has measured so far, in tables, figures and pages, before all of it is there.

Measures nothing and writes below results/{study}/so_far alone, so that it may look at a running study.
A result that is not there, or not of today's config and code, counts as one that is not measured yet.
"""

from importlib import import_module
from pathlib import Path
from shutil import copyfile, rmtree

import pandas as pd

from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.fingerprint import stamp_of
from sinkbench.artifacts.parquet import write_table
from sinkbench.report import catalogue
from sinkbench.report.pages import so_far as index
from sinkbench.results.aggregate import aggregate
from sinkbench.results.schema import PENDING
from sinkbench.study.staleness import TRIED_AGAIN, stale
from sinkbench.study.study import SCHEMA, Study

FOLDER, REPORT = "so_far", "report.html"
KINDS = ("speed", "profile", "recall", "sinks")
AGGREGATED = {"quality": "nll"} | {kind: kind for kind in KINDS}  # folders by kind
MADE = (
    "self_check",
    *AGGREGATED.values(),
    "continuations",
    *catalogue.SHOWN,
    "report",
)  # folders of FOLDER, which are emptied first
ELSEWHERE = ("landing.rst", catalogue.GPU_REFERENCE)  # pages that need Snakemake's report, or are of no study


def write_so_far(study: Study, results: str | Path) -> Path:
    """Write what is there, and say of the rest that it is not measured yet.

    Args:
        results: folder of the study.

    Returns:
        The report: an HTML page beside the tables, figures and pages that it leads to.

    Raises:
        UserError: a result is damaged.
    """
    results = Path(results)
    folder = results / FOLDER
    for name in MADE:
        rmtree(folder / name, ignore_errors=True)
    files = _current(study, results)
    jobs = [(kind, name) for kind, name, _ in study.measuring_jobs()]
    pending = [job for job in jobs if job not in files]
    files |= _placeholders(study, folder, pending)
    _aggregate(study, files, folder)
    for (kind, name), path in files.items():
        if kind == "continuations" and (kind, name) not in pending:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            copyfile(path, folder / f"{kind}/{name}.parquet")
    is_continued = any(kind == "continuations" and (kind, name) not in pending for kind, name in jobs)
    pages = _render(study, folder, is_continued)
    write_text(folder / REPORT, index.render(folder, _index_spec(study, pages, jobs, pending)))
    return folder / REPORT


def _current(study: Study, results: Path) -> dict[tuple[str, str], Path]:
    """Files of the results that are there and up to date, by folder and name; what failed is one of them."""
    paths = {(kind, name): results / kind / f"{name}.parquet" for kind, name, _ in study.measuring_jobs()}
    there = {job: path for job, path in paths.items() if path.exists()}
    complaints = stale(study, results)  # after the look, since a running study adds results
    return {job: path for job, path in there.items() if complaints.get(str(path), TRIED_AGAIN) == TRIED_AGAIN}


def _placeholders(study: Study, folder: Path, pending: list[tuple[str, str]]) -> dict[tuple[str, str], Path]:
    """A result for each pending job: empty, with the job's stamp and the status PENDING."""
    files = {}
    for kind, name, settings in study.measuring_jobs():
        if (kind, name) in pending:
            files[kind, name] = folder / kind / f"{name}.parquet"
            notes = stamp_of(settings) | {"status": PENDING}
            notes |= {"inputs": {}, "environment": {"device": PENDING}}
            write_table(files[kind, name], pd.DataFrame(), notes)
    return files


def _aggregate(study: Study, files: dict[tuple[str, str], Path], folder: Path) -> None:
    plan = study.plan()
    stamps = plan["stamps"].items()
    paths = {kind: [str(files[AGGREGATED[kind], name]) for name in names] for kind, names in stamps}
    written = [
        str(folder / name) for name in ("measurements.parquet", "measurements.csv", "environment.json")
    ]
    checks = [str(files["self_check", key]) for key in plan["self_checks"]]
    aggregate(plan, paths, str(SCHEMA), *written, checks)


def _render(study: Study, folder: Path, is_continued: bool) -> list[str]:
    """Render all tables, figures and pages, and give the pages' names."""
    left_out = ELSEWHERE if is_continued else (*ELSEWHERE, catalogue.CONTINUATIONS)
    pages = catalogue.page_specs(study.config)
    specs = {kind: catalogue.specs(kind, study.config) for kind in catalogue.SHOWN}
    specs["pages"] = {page: spec for page, spec in pages.items() if page not in left_out}
    for kind, each in specs.items():
        import_module(f"sinkbench.report.{kind}").render(folder, each)
    return list(specs["pages"])


def _index_spec(study: Study, pages: list[str], jobs: list, pending: list) -> dict:
    """What the report is told: the study's name, titles by file, and jobs as (folder, name)."""
    shown = {f"report/{page}": catalogue.PAGES[page][1] for page in pages}
    for kind, ending in catalogue.SHOWN.items():
        shown |= {f"{kind}/{name}.{ending}": catalogue.title(kind, name) for name in study.config[kind]}
    return {"study": study.name, "shown": shown, "jobs": jobs, "pending": pending}
