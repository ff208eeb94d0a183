"""Measurements of speed: times, memory and bandwidth per timed point, and speed-ups against a baseline."""

import numpy as np
import pandas as pd

from sinkbench.measurements import Recorder
from sinkbench.quality_rows import describe
from sinkbench.statistics import Bootstrap


def record_speed(recorder: Recorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all speed jobs.

    Args:
        plan: study.Study.plan().
        results: (per-step times, notes) by run.
    """
    tpots = {run: _tpots(notes) for run, (_, notes) in results.items() if notes["status"] == "ok"}
    for run, (steps, notes) in results.items():
        about = describe(plan, plan["runs"][run]["method"])
        about |= {"engine": plan["runs"][run]["engine"], "device": notes["environment"]["device"]}
        if notes["status"] != "ok":
            recorder.add({**about, "status": notes["status"]}, "tpot_ms", None)
            continue
        _record_run(recorder, bootstrap, about, steps, notes)
        for against in plan["runs"][run]["tpot_against"]:
            if against in tpots:
                _record_speedups(recorder, bootstrap, about, tpots[run], tpots[against], against)


def _record_run(
    recorder: Recorder, bootstrap: Bootstrap, about: dict, steps: pd.DataFrame, notes: dict
) -> None:
    bandwidth = bootstrap.median(notes["bandwidth_bytes_per_s"])
    recorder.add(about, "bandwidth", *bandwidth, n=len(notes["bandwidth_bytes_per_s"]))
    recorder.add(about, "nll_gap", notes["score"]["mean_gap"], n=notes["score"]["tokens"])
    for (kind, point), part in pd.DataFrame(notes["points"]).groupby(["kind", "point"]):
        here = {**about, "kind": kind, "position": int(point)}
        _record_times(recorder, bootstrap, here, part, bandwidth[0])
        for quantile in (50, 90, 99):
            times = steps.ms[steps.point == point]
            recorder.add(here, f"step_p{quantile}_ms", np.quantile(times, quantile / 100), n=len(times))


def _record_times(
    recorder: Recorder, bootstrap: Bootstrap, here: dict, part: pd.DataFrame, bandwidth: float
) -> None:
    """Numbers of one point; `part` has one row per repetition."""
    count = len(part)
    tpot, low, high = bootstrap.median(part.tpot_ms)
    recorder.add(here, "ttft_ms", *bootstrap.median(part.ttft_ms), n=count)
    recorder.add(here, "tpot_ms", tpot, low, high, n=count)
    recorder.add(here, "tokens_per_s", 1e3 / tpot, 1e3 / high, 1e3 / low, n=count)
    recorder.add(here, "peak_memory_bytes", part.peak_memory_bytes.max(), n=count)
    recorder.add(here, "cache_bytes", part.cache_bytes.max(), n=count)
    needed = part.bytes_per_step.median()
    recorder.add(here, "bytes_per_step", needed)
    mbu = [needed / (1e-3 * ms * bandwidth) for ms in (tpot, high, low)]
    recorder.add(here, "mbu", *mbu, n=count)


def _record_speedups(recorder, bootstrap, about: dict, own: dict, baseline: dict, against: str) -> None:
    """One speed-up per point that both were timed at; a baseline timed by budget serves every point."""
    for (kind, point), times in own.items():
        for (other, where), theirs in baseline.items():
            if where == point or other == "budget":
                ratio = bootstrap.ratio(theirs, times)
                here = {"kind": kind, "position": point, "against": against}
                recorder.add(about, "speedup", *ratio, n=len(times), **here)


def _tpots(notes: dict) -> dict:
    """TPOT of every repetition, in ms, by (kind, point)."""
    points = pd.DataFrame(notes["points"]).groupby(["kind", "point"]).tpot_ms
    return {(kind, int(point)): times.to_numpy() for (kind, point), times in points}
