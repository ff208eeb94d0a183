# Results that are not up to date, by what they say of themselves (sinkbench/study/staleness.py), are made again,
# whatever Snakemake's own records and dates say; a report refuses them.

import functools
import sys
import time
from pathlib import Path

from snakemake import __version__ as SNAKEMAKE

from sinkbench.study.ending import missing, mistakes, nothing_measured, statuses
from sinkbench.study.staleness import ALTERED, TRIED_AGAIN, stale
from sinkbench.artifacts.hub import is_fetched


def expired():
    """Results that are there and not up to date: reasons by path."""
    try:
        return stale(study, RESULTS)
    except UserError as error:
        raise WorkflowError(str(error))


STARTED = time.time()
EXPIRED = expired()
if workflow.is_main_process:
    for path, why in EXPIRED.items():
        if why.endswith(ALTERED):
            print(f"{path}: {why}; it is made again", file=sys.stderr)


def make_again(paths):
    """Force the jobs of this run that make these paths; those that it does not need stay out of it.

    The only place that relies on what Snakemake keeps to itself: its --forcerun would make targets of them all.
    """
    forced = getattr(workflow.dag, "forcefiles", None)
    if not isinstance(forced, set):
        raise WorkflowError(
            f"Snakemake {SNAKEMAKE} cannot be told which results are out of date; "
            "install the release that requirements.txt names"
        )
    forced.update(paths)


def refreshed_input(paths):
    """An input function: results, which are read when they or what they were made from have been made again."""

    def function(wildcards):
        make_again(EXPIRED)
        return paths

    return function


def undated_input(paths):
    """An input function: what was compared by content, so that dates, which a copy scrambles, do not count.

    Its argument is one path, a list of paths, or a function of the wildcards that gives either.
    """

    def function(wildcards):
        make_again(EXPIRED)
        chosen = paths(wildcards) if callable(paths) else paths
        return (
            [_undated(path) for path in chosen]
            if isinstance(chosen, list)
            else _undated(chosen)
        )

    return function


def _undated(path):
    """The path without its date; with it if this run makes it anew, or Snakemake would take it for an old one."""
    repository = study.inputs.repositories().get(Path(path).stem)
    is_remade = str(path) in EXPIRED or (repository and not is_fetched(repository))
    return ancient(path) if Path(path).exists() and not is_remade else path


REPORTED = functools.cache(expired)  # asked for once by all that a report shows


def report_labels(title):
    """Labels of what the report shows. They are asked for when a report is made, which shows nothing old."""

    def labels(wildcards):
        old = {path: why for path, why in REPORTED().items() if why != TRIED_AGAIN}
        if old:
            path, why = next(iter(old.items()))
            sys.exit(
                f"error: {path}: {why} ({len(old)} such results); before a report: snakemake --cores 1"
            )
        return {"title": title}

    return labels


onsuccess:
    found = statuses(study, RESULTS)
    for line in missing(found, f"{RESULTS}/logs"):
        print(line, file=sys.stderr)
    if why := nothing_measured(found):
        sys.exit(f"error: {why}; the logs below {RESULTS}/logs say why")


onerror:
    # Last, where people look: Snakemake shows them far above.
    logs = [*Path(RESULTS).rglob("*.log"), *Path("resources/hub").glob("*.log")]
    for line in mistakes(logs, STARTED):
        print(line, file=sys.stderr)
