"""Measurements of profiles: the time of every part of a decode step, the idle time among them.

Waiting belongs to what launches. Where a step was also timed with its attention stubbed, the time that goes
with it, beyond attention's own kernels, is attention's waiting; the rest of the idle time is the others'.
"""

import pandas as pd

from sinkbench.results.provenance import provenance
from sinkbench.results.quality_rows import describe
from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap
from sinkbench.results.step_parts import ATTENTION, ATTENTION_IDLE, IDLE

STEPS = ("step_ms", "step_without_attention_ms", "step_separate_ms")  # times of whole steps, in the notes
Interval = tuple[float, float, float]  # value, low, high


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
        _record_parts(recorder, bootstrap, here, kernels, notes)
        _record_bytes(recorder, here, kernels, notes["bytes_read"])


def _record_parts(
    recorder: RowRecorder, bootstrap: Bootstrap, here: dict, kernels: pd.DataFrame, notes: dict
) -> None:
    """All parts add up to the step, or to the busy time where the profiled one is longer than the step."""
    times = kernels.pivot_table(index="step", columns="part", values="ms", aggfunc="sum", fill_value=0.0)
    busy = {part: bootstrap.median(times[part]) for part in times}
    for part, median in busy.items():
        recorder.add(here, "part_ms", *median, n=len(times), part=part)
    steps = {metric: bootstrap.median(notes[metric]) for metric in STEPS if metric in notes}
    for metric, step in steps.items():
        recorder.add(here, metric, *step, n=len(notes[metric]))
    for part, idle in _idle({part: value for part, (value, _, _) in busy.items()}, steps).items():
        recorder.add(here, "part_ms", *idle, n=len(notes["step_ms"]), part=part)


def _idle(busy: dict[str, float], steps: dict[str, Interval]) -> dict[str, Interval]:
    """What the parts' busy times leave of a step [ms], and for which of them the device then waits."""
    step, rest = steps.get("step_separate_ms", steps["step_ms"]), sum(busy.values())
    idle = tuple(max(0.0, time - rest) for time in step)
    if (stubbed := steps.get("step_without_attention_ms")) is None:
        return {IDLE: idle}
    attention = busy.get(ATTENTION, 0.0)
    others = _around(
        min(idle[0], stubbed[0] - rest + attention), *(end - rest + attention for end in stubbed[1:])
    )
    gone = _around(idle[0] - others[0], step[1] - stubbed[2] - attention, step[2] - stubbed[1] - attention)
    return {ATTENTION_IDLE: gone, IDLE: others}


def _around(value: float, low: float, high: float) -> Interval:
    """The interval around its value, none of them negative: noise can make a difference so."""
    return tuple(max(0.0, time) for time in (value, min(low, value), max(high, value)))


def _record_bytes(recorder: RowRecorder, here: dict, kernels: pd.DataFrame, read: dict[str, int]) -> None:
    """What the kernels of a part must read, where the engine knows it."""
    parts = kernels.drop_duplicates("kernel").set_index("kernel")["part"]
    for part, nbytes in pd.Series(read, dtype="int64").groupby(parts).sum().items():
        recorder.add(here, "part_bytes", nbytes, part=part)


def _record_failure(recorder: RowRecorder, about: dict) -> None:
    """One row, unless the run's speed job failed in the same way and has said so."""
    same = ("method", "engine", "batch", "status")
    if not any(all(row.get(name) == about[name] for name in same) for row in recorder.rows):
        recorder.add(about, "part_ms", None)
