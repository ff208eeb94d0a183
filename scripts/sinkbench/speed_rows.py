"""Measurements of speed: times, memory and bandwidth per timed point, and speed-ups against a baseline."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sinkbench.datasheet import datasheet_bandwidth
from sinkbench.measurements import DISTURBED, Recorder
from sinkbench.quality_rows import describe
from sinkbench.statistics import Bootstrap

LEAST_CLEAN = 3
PERCENTILES = (10, 50, 90, 99)


@dataclass(frozen=True)
class _Point:
    """One timed point of a run.

    repetitions: those that count, one row each; `status` is that of the times made from them.
    """

    kind: str
    position: int
    repetitions: pd.DataFrame
    status: str


def record_speed(recorder: Recorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all speed jobs.

    Args:
        plan: study.Study.plan().
        results: (per-step times, notes) by run.
    """
    timed = {run: _points(notes) for run, (_, notes) in results.items() if notes["status"] == "ok"}
    for run, (steps, notes) in results.items():
        entry = plan["runs"][run]
        about = describe(plan, entry["method"])
        about |= {name: entry[name] for name in ("family", "engine", "batch")}
        about["device"] = notes["environment"]["device"]
        if run not in timed:
            recorder.add({**about, "status": notes["status"]}, "tpot_ms", None)
            continue
        _Run(recorder, bootstrap, about, notes).record(timed[run], steps)
        for against in entry["tpot_against"]:
            if against in timed:
                batches = entry["batch"] / plan["runs"][against]["batch"]
                _record_speedups(recorder, bootstrap, about, timed[run], timed[against], against, batches)


class _Run:
    """The rows of one run: about the run, and about each of its points."""

    def __init__(self, recorder: Recorder, bootstrap: Bootstrap, about: dict, notes: dict):
        self.recorder, self.bootstrap, self.about = recorder, bootstrap, about
        self.score, self.measured = notes["score"], pd.DataFrame(notes["bandwidth_bytes_per_s"])
        self.compilation = notes["compilation"]
        bandwidths = {way: bootstrap.median(self.measured[way]) for way in ("read", "copy")}
        self.bandwidths, self.best = bandwidths, max(bandwidths.values())

    def record(self, points: list[_Point], steps: pd.DataFrame) -> None:
        """Add all rows; `steps` are the per-step times."""
        for way, bandwidth in self.bandwidths.items():
            self.recorder.add(self.about, f"bandwidth_{way}", *bandwidth, n=len(self.measured))
        for metric, name in (("nll_gap", "mean_gap"), ("nll_gap_max", "max_gap")):
            self.recorder.add(self.about, metric, self.score[name], n=self.score["tokens"])
        if self.compilation:
            graphs = self.compilation["graphs"]
            self.recorder.add(self.about, "compile_s", self.compilation["seconds"], n=graphs)
            self.recorder.add(self.about, "compilations", graphs)
        for point in points:
            here = {**self.about, "kind": point.kind, "position": point.position}
            self._add_sizes(here, point.repetitions)
            self._add_times({**here, "status": point.status}, point.repetitions)
            self._add_steps({**here, "status": point.status}, point, steps)

    def _add_sizes(self, here: dict, part: pd.DataFrame) -> None:
        """What does not depend on the device's other users."""
        for metric in ("peak_memory_bytes", "cache_bytes"):
            self.recorder.add(here, metric, part[metric].max(), n=len(part))
        needed = part.bytes_per_step.median()
        self.recorder.add(here, "bytes_per_step", needed)
        value, low, high = (1e3 * needed / speed for speed in self.best)
        self.recorder.add(here, "floor_ms", value, high, low, n=len(self.measured))

    def _add_times(self, here: dict, part: pd.DataFrame) -> None:
        count = len(part)
        tpot, low, high = self.bootstrap.median(part.tpot_ms)
        self.recorder.add(here, "ttft_ms", *self.bootstrap.median(part.ttft_ms), n=count)
        self.recorder.add(here, "tpot_ms", tpot, low, high, n=count)
        rates = [here["batch"] * 1e3 / ms for ms in (tpot, high, low)]
        self.recorder.add(here, "tokens_per_s", *rates, n=count)
        bandwidths = {"mbu": self.best[0], "mbu_datasheet": datasheet_bandwidth(here["device"])}
        for metric, bandwidth in bandwidths.items():
            if bandwidth:
                shares = [part.bytes_per_step.median() / (1e-3 * ms * bandwidth) for ms in (tpot, high, low)]
                self.recorder.add(here, metric, *shares, n=count)

    def _add_steps(self, here: dict, point: _Point, steps: pd.DataFrame) -> None:
        counted = steps.repetition.isin(point.repetitions.repetition)
        times = steps.ms[counted & (steps.kind == point.kind) & (steps.point == point.position)]
        for percentile in PERCENTILES:
            value = np.quantile(times, percentile / 100)
            self.recorder.add(here, f"step_p{percentile}_ms", value, n=len(times))


def _points(notes: dict) -> list[_Point]:
    groups = pd.DataFrame(notes["points"]).groupby(["kind", "point"])
    return [_Point(kind, int(position), *_counted(part)) for (kind, position), part in groups]


def _counted(part: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The repetitions of a point that count, and the status of their times.

    Disturbed ones are left out while at least 3, and at least half of all, are clean. Otherwise all count,
    and the status says what disturbed them: the number is shown and marked, never dropped.
    """
    clean = part[[not reasons for reasons in part.disturbed]]
    if len(clean) == len(part) or len(clean) >= max(LEAST_CLEAN, len(part) / 2):
        return clean, "ok"
    reasons = dict.fromkeys(reason for reasons in part.disturbed for reason in reasons)
    return part, DISTURBED + "; ".join(reasons)


def _record_speedups(recorder, bootstrap, about: dict, own, baseline, against: str, batches: float) -> None:
    """One speed-up per point that both were timed at; a baseline timed by budget serves every point.

    Args:
        own, baseline: points of both runs.
        batches: streams of the run per stream of the baseline; so many times the tokens come of a step.
    """
    for point in own:
        for other in baseline:
            if other.position == point.position or other.kind == "budget":
                theirs, times = other.repetitions.tpot_ms * batches, point.repetitions.tpot_ms
                status = point.status if point.status != "ok" else other.status
                here = {"kind": point.kind, "position": point.position, "status": status, "against": against}
                ratio = bootstrap.ratio(theirs, times)
                recorder.add({**about, **here}, "speedup", *ratio, n=len(times))
