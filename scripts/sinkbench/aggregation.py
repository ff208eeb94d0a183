"""From the files of all jobs to one table of measurements, refusing files made from another config."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.errors import UserError
from sinkbench.measurements import Recorder, load_schema
from sinkbench.profile_rows import record_profile
from sinkbench.quality_rows import record_quality
from sinkbench.records import replacing
from sinkbench.speed_rows import record_speed
from sinkbench.statistics import Bootstrap
from sinkbench.store import read_table, write_table


def aggregate(
    plan: dict,
    quality: list[str],
    speed: list[str],
    profile: list[str],
    schema: str,
    table_path: str,
    csv_path: str,
) -> None:
    """Write the measurements as parquet and as CSV.

    Args:
        plan: study.Study.plan().
        quality, speed, profile: result files in the order of plan["stamps"].

    Raises:
        UserError: a file is damaged or was made with another config or other code.
    """
    recorder = Recorder(load_schema(schema))
    bootstrap = Bootstrap(plan["statistics"])
    record_quality(recorder, bootstrap, plan, dict(_read(quality, plan["stamps"]["quality"])))
    record_speed(recorder, bootstrap, plan, dict(_read(speed, plan["stamps"]["speed"])))
    record_profile(recorder, bootstrap, plan, dict(_read(profile, plan["stamps"]["profile"])))
    frame = recorder.frame()
    write_table(table_path, frame, {"study": plan["study"]})
    with replacing(csv_path) as partial:
        frame.to_csv(partial, index=False)


def _read(paths: list[str], stamps: dict[str, str]) -> Iterator[tuple[str, tuple[pd.DataFrame, dict]]]:
    """(job, (table, notes)) of every file, each checked against its stamp."""
    for path, (job, expected) in zip(paths, stamps.items(), strict=True):
        frame, notes = read_table(path)
        if notes["stamp"] != expected:
            raise UserError(
                f"{path}: made with another config or other code ({notes['stamp']}, expected {expected}); "
                f"make it again: snakemake --cores 1 --forcerun {path}"
            )
        yield job, (frame, notes)
