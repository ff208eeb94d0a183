"""From the files of all jobs to one table of measurements, refusing files made from another config."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain

import pandas as pd

from sinkbench.artifacts.files import atomic_write, write_json
from sinkbench.artifacts.lineage import from_results, write_lineage
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.errors import UserError
from sinkbench.results.profile_rows import record_profile
from sinkbench.results.quality_rows import record_quality
from sinkbench.results.recall_rows import record_recall
from sinkbench.results.schema import RowRecorder, load_schema
from sinkbench.results.sink_rows import record_sinks
from sinkbench.results.speed_rows import record_speed
from sinkbench.results.statistics import Bootstrap

RECORDS = {
    "quality": record_quality,
    "speed": record_speed,
    "profile": record_profile,
    "recall": record_recall,
    "sinks": record_sinks,
}  # by kind of job
LARGE = ("quality",)  # whose tables are not all read at once: of NLLs that would take gigabytes


def aggregate(
    plan: dict,
    results: dict[str, list[str]],
    schema: str,
    table_path: str,
    csv_path: str,
    environment_path: str,
    self_checks: Sequence[str] = (),
) -> None:
    """Write the measurements as parquet and as CSV, and what they were measured with as JSON.

    Args:
        plan: study.Study.plan().
        results: result files by kind (RECORDS), of each in the order of plan["stamps"].
        self_checks: result files in the order of plan["self_checks"].

    Raises:
        UserError: a file is damaged or was made with another config or other code.
    """
    recorder = RowRecorder(load_schema(schema))
    bootstrap = Bootstrap(plan["statistics"])
    stamps = plan["stamps"]
    made = {kind: dict(_read(paths, stamps[kind], kind not in LARGE)) for kind, paths in results.items()}
    checks = dict(_read(self_checks, plan.get("self_checks", {}), False))
    for kind, record in RECORDS.items():
        record(recorder, bootstrap, plan, made.get(kind, {}))
    frame = recorder.frame()
    write_table(table_path, frame, {"study": plan["study"]})
    with atomic_write(csv_path) as partial:
        frame.to_csv(partial, index=False)
    write_json(environment_path, _provenance(plan, made, checks))
    read = [*self_checks, *chain.from_iterable(results.values())]
    write_lineage([table_path, csv_path, environment_path], plan, from_results(read, schema), read)


def _provenance(plan: dict, results: dict[str, dict], checks: dict) -> dict:
    """What every row was made from: sources and seeds as the config has them, versions and device, digests.

    `environments` and `inputs` each name the jobs that they hold for, as "quality METHOD/CORPUS", "speed
    RUN", "profile RUN", "recall METHOD" or "sinks METHOD". `self_checks` has a line for each model that was
    compared with transformers' own, and `converted_from` one for each that a gguf file became.
    """
    return {
        "study": plan["study"],
        "sources": plan["sources"],
        "statistics": plan["statistics"],
        "self_checks": {key: notes.get("said", notes["status"]) for key, (_, notes) in checks.items()},
        "converted_from": {
            key: notes["converted_from"] for key, (_, notes) in checks.items() if notes.get("converted_from")
        },
        "environments": _grouped(results, "environment"),
        "inputs": _grouped(results, "inputs"),
    }


def _grouped(results: dict[str, dict], note: str) -> list[dict]:
    """Every value that the results' note of this name has, and the jobs that have it, in their order."""
    found: dict[str, dict] = {}
    for kind, made in results.items():
        for job, (_, notes) in made.items():
            value = notes.get(note, {})
            key = json.dumps(value, sort_keys=True)
            found.setdefault(key, {**value, "jobs": []})["jobs"].append(f"{kind} {job}")
    return list(found.values())


def _read(
    paths: list[str], stamps: dict[str, dict[str, str]], whole: bool
) -> Iterator[tuple[str, tuple[pd.DataFrame | str, dict]]]:
    """(job, (table, notes)) of every file, its stamp checked; not `whole`: the path for a table."""
    for path, (job, expected) in zip(paths, stamps.items(), strict=True):
        frame, notes = read_table(path, None if whole else [])
        if not expected.items() <= notes.items():
            raise UserError(
                f"{path}: made with another config or other code; "
                f"make it again: snakemake --cores 1 --forcerun {path}"
            )
        yield job, (frame if whole else path, notes)
