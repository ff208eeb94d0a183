"""Measurements of speed: times, memory and bandwidth per timed point, and speed-ups against a baseline.

Of speculation: how many drafts are accepted, how many tokens a round gives, and how many would break even.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sinkbench.results.datasheet import datasheet_bandwidth
from sinkbench.results.provenance import provenance
from sinkbench.results.quality_rows import describe
from sinkbench.results.schema import DISTURBED, RowRecorder
from sinkbench.results.statistics import Bootstrap

LEAST_CLEAN = 3
PERCENTILES = (10, 50, 90, 99)
DRAFTING = ("drafts", "draft_tokens", "temperature")
# metric: its name in the notes of a score (measure.score), against the evaluator in the model's own dtype ...
GAPS = {"nll_gap": "mean_gap", "nll_gap_max": "max_gap"}
# ... and against the one in float32; of the first a status says why all are missing
FLOAT32_GAPS = {
    "nll_gap_float32": "mean_gap",
    "nll_gap_float32_max": "max_gap",
    "top_token_agreement": "top_token_agreement",
    "kl_divergence": "kl_divergence",
}


@dataclass(frozen=True)
class _Point:
    """One timed point of a run.

    repetitions: those that count, one row each; `status` is that of the times made from them.
    """

    kind: str
    position: int
    repetitions: pd.DataFrame
    status: str


def record_speed(recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all speed jobs.

    Args:
        plan: study.Study.plan(). Of drafts from random weights only the time of a round means something.
        results: (per-step times, notes) by run.
    """
    timed = {run: _points(notes) for run, (_, notes) in results.items() if notes["status"] == "ok"}
    for run, (steps, notes) in results.items():
        entry = plan["runs"][run]
        about = describe(plan, entry["method"])
        about |= {name: entry[name] for name in ("family", "engine", "batch", *DRAFTING)}
        about |= provenance(plan, notes, plan["timed_on"])
        if run not in timed:
            recorder.add({**about, "status": notes["status"]}, "tpot_ms", None)
            continue
        judged = about["draft_tokens"] is None or not plan["random"]
        _RunRows(recorder, bootstrap, about, notes, judged, plan["timed_on"]).record(timed[run], steps)
        for against in filter(timed.__contains__, entry["tpot_against"]):
            batches = entry["batch"] / plan["runs"][against]["batch"]
            for here, times, theirs in _comparisons(about, timed[run], timed[against], against):
                if about["draft_tokens"]:
                    needed = bootstrap.ratio(times.step_ms, theirs)  # tokens a round, to be as fast
                    recorder.add(here, "break_even_tokens", *needed, n=len(times))
                if judged:
                    ratio = bootstrap.ratio(theirs * batches, times.tpot_ms)
                    recorder.add(here, "speedup", *ratio, n=len(times))


class _RunRows:
    """The rows of one run: about the run, and about each of its points.

    Args:
        judged: whether its time per token means something.
        corpus: whose text it read.
    """

    def __init__(
        self,
        recorder: RowRecorder,
        bootstrap: Bootstrap,
        about: dict,
        notes: dict,
        judged: bool,
        corpus: str,
    ):
        self.judged, self.corpus = judged, corpus
        self.recorder, self.bootstrap, self.about = recorder, bootstrap, about
        self.score, self.measured = notes["score"], pd.DataFrame(notes["bandwidth_bytes_per_s"])
        self.compilation = notes["compilation"]
        bandwidths = {way: bootstrap.median(self.measured[way]) for way in ("read", "copy")}
        self.bandwidths, self.best = bandwidths, max(bandwidths.values())

    def record(self, points: list[_Point], steps: pd.DataFrame) -> None:
        """Add all rows; `steps` are the per-step times."""
        for way, bandwidth in self.bandwidths.items():
            self.recorder.add(self.about, f"bandwidth_{way}", *bandwidth, n=len(self.measured))
        self._add_score()
        if self.compilation:
            graphs = self.compilation["graphs"]
            self.recorder.add(self.about, "compile_s", self.compilation["seconds"], n=graphs)
            self.recorder.add(self.about, "compilations", graphs)
        for point in points:
            here = {**self.about, "position_kind": point.kind, "position": point.position}
            self._add_sizes(here, point.repetitions)
            timed, at_point = {**here, "status": point.status}, steps[steps["point"] == point.position]
            self._add_times(timed, point.repetitions)
            if here["draft_tokens"] is None:
                self._add_floor(timed, point.repetitions)
                self._add_steps(timed, point, at_point)
            elif self.judged:
                self._add_acceptance({**here, "corpus": self.corpus}, at_point)
                self._add_loops({**here, "corpus": self.corpus}, point.repetitions)

    def _add_score(self) -> None:
        count, wide = self.score["tokens"], self.score["float32"]
        for metric, name in GAPS.items():
            self.recorder.add(self.about, metric, self.score[name], n=count)
        if "status" in wide:
            self.recorder.add({**self.about, "status": wide["status"]}, next(iter(FLOAT32_GAPS)), None)
            return
        for metric, name in FLOAT32_GAPS.items():
            self.recorder.add(self.about, metric, wide[name], n=count)

    def _add_sizes(self, here: dict, part: pd.DataFrame) -> None:
        """What does not depend on the device's other users."""
        for metric in ("peak_memory_bytes", "cache_bytes", "store_bytes"):
            if part[metric].notna().all():
                self.recorder.add(here, metric, part[metric].max(), n=len(part))

    def _add_times(self, here: dict, part: pd.DataFrame) -> None:
        count = len(part)
        for metric in ("ttft_ms", "host_ms"):
            self.recorder.add(here, metric, *self.bootstrap.median(part[metric]), n=count)
        if here["draft_tokens"]:
            self.recorder.add(here, "round_ms", *self.bootstrap.median(part.step_ms), n=count)
        if not self.judged:
            return
        tpot, low, high = self.bootstrap.median(part.tpot_ms)
        self.recorder.add(here, "tpot_ms", tpot, low, high, n=count)
        rates = [here["batch"] * 1e3 / ms for ms in (tpot, high, low)]
        self.recorder.add(here, "tokens_per_s", *rates, n=count)

    def _add_floor(self, here: dict, part: pd.DataFrame) -> None:
        """What a step of one token must read, and how fast it is read."""
        needed, (tpot, low, high) = part.bytes_per_step.median(), self.bootstrap.median(part.tpot_ms)
        still = {**here, "status": "ok"}  # does not depend on the device's other users
        self.recorder.add(still, "bytes_per_step", needed)
        value, most, least = (1e3 * needed / speed for speed in self.best)
        self.recorder.add(still, "floor_ms", value, least, most, n=len(self.measured))
        bandwidths = {"mbu": self.best[0], "mbu_datasheet": datasheet_bandwidth(here["device"])}
        for metric, bandwidth in bandwidths.items():
            if bandwidth:
                shares = [needed / (1e-3 * ms * bandwidth) for ms in (tpot, high, low)]
                self.recorder.add(here, metric, *shares, n=len(part))

    def _add_acceptance(self, here: dict, rounds: pd.DataFrame) -> None:
        """The rounds of a repetition continue one text, and are resampled together."""
        rounds = rounds.assign(document=rounds["repetition"], position=0, drafted=rounds["judged"] > 0)
        self.recorder.add(here, "tokens_per_step", *self.bootstrap.mean(rounds, "tokens"), n=len(rounds))
        self._add_share(here, "drafted_rounds", rounds.astype({"drafted": int}), "drafted")
        self._add_share(here, "acceptance_rate", _judged(rounds), "accepted")

    def _add_share(self, here: dict, metric: str, rows: pd.DataFrame, column: str) -> None:
        if len(rows):
            share = np.clip(self.bootstrap.mean(rows, column), 0, 1)  # Student's t knows no bounds
            self.recorder.add(here, metric, *share, n=len(rows))

    def _add_loops(self, here: dict, part: pd.DataFrame) -> None:
        """A text that is too short to be told from a loop does not count."""
        told = part["looped"].dropna()
        if len(told):
            self.recorder.add(here, "loops", int(told.sum()), n=len(told))

    def _add_steps(self, here: dict, point: _Point, steps: pd.DataFrame) -> None:
        times = steps.ms[steps.repetition.isin(point.repetitions.repetition)]
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


def _judged(rounds: pd.DataFrame) -> pd.DataFrame:
    """One row for every draft that was judged, with `accepted`."""
    kept = rounds["tokens"] - 1
    accepted = rounds.loc[rounds.index.repeat(kept)].assign(accepted=1)
    rejected = rounds.loc[rounds.index.repeat(rounds["judged"] - kept)].assign(accepted=0)
    return pd.concat((accepted, rejected), ignore_index=True)


def _comparisons(about: dict, own: list[_Point], baseline: list[_Point], against: str) -> Iterator[tuple]:
    """(columns, repetitions, the baseline's TPOTs) of each point that both were timed at.

    A baseline timed by budget serves every point.
    """
    for point in own:
        for other in baseline:
            if other.position == point.position or other.kind == "budget":
                status = point.status if point.status != "ok" else other.status
                here = {
                    "position_kind": point.kind,
                    "position": point.position,
                    "status": status,
                    "against": against,
                }
                yield {**about, **here}, point.repetitions, other.repetitions.tpot_ms
