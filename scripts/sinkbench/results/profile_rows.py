"""Measurements of profiles: the time of every part of a decode step, the idle time among them."""

import pandas as pd

from sinkbench.results.provenance import provenance
from sinkbench.results.quality_rows import describe
from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap
from sinkbench.results.step_parts import IDLE


def record_profile(recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all profile jobs.

    Args:
        plan: study.Study.plan().
        results: (time by step, part and kernel, notes) by run.
    """
    for run, (kernels, notes) in results.items():
        entry = plan["runs"][run]
        about = describe(plan, entry["method"]) | {
            name: entry[name] for name in ("family", "engine", "batch")
        }
        about |= provenance(plan, notes, plan["timed_on"])
        if notes["status"] != "ok":
            _record_failure(recorder, {**about, "status": notes["status"]})
            continue
        here = {**about, "position_kind": notes["kind"], "position": notes["point"]}
        steps = kernels.groupby("step")["launches"].sum()
        recorder.add(here, "launches_per_step", steps.median(), n=len(steps))
        _record_parts(recorder, bootstrap, here, kernels, notes["step_ms"])


def _record_parts(
    recorder: RowRecorder, bootstrap: Bootstrap, here: dict, kernels: pd.DataFrame, step_ms: list[float]
) -> None:
    """All parts add up to the step, or to the busy time where the profiled one is longer than the step."""
    times = kernels.pivot_table(index="step", columns="part", values="ms", aggfunc="sum", fill_value=0.0)
    medians = {part: bootstrap.median(times[part]) for part in times}
    for part, median in medians.items():
        recorder.add(here, "part_ms", *median, n=len(times), part=part)
    busy = sum(value for value, _, _ in medians.values())
    idle = (max(0.0, step - busy) for step in bootstrap.median(step_ms))
    recorder.add(here, "part_ms", *idle, n=len(step_ms), part=IDLE)


def _record_failure(recorder: RowRecorder, about: dict) -> None:
    """One row, unless the run's speed job failed in the same way and has said so."""
    same = ("method", "engine", "batch", "status")
    if not any(all(row.get(name) == about[name] for name in same) for row in recorder.rows):
        recorder.add(about, "part_ms", None)
