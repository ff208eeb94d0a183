"""One speed job: time and memory of one run (method and engine), and the NLLs of what was timed."""

import math

import numpy as np
import pandas as pd

from sinkbench.engines.decode import decode_logits
from sinkbench.measure.bench import Bench
from sinkbench.measure.clock import time_decode
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.score import score
from sinkbench.measure.step_bytes import bytes_per_step
from sinkbench.policies import REFRESHED
from sinkbench.runtime.compile_cost import without_compiled_before
from sinkbench.runtime.interference import disturbances, host_ms, read_state
from sinkbench.runtime.memory import measure_bandwidth, peak_bytes, reset_peak
from sinkbench.runtime.progress import Progress

COLUMNS = ["kind", "point", "repetition", "step", "ms", "tokens", "judged"]


def measure(settings: dict, tokens_path: str, output_path: str, model=None) -> None:
    """Write the per-step times (COLUMNS) and, as notes, a summary per point; see attempt for failures.

    Args:
        settings, model: see bench.Bench.
    """
    record_outcome(
        settings, tokens_path, output_path, COLUMNS, lambda: _measured(Bench(settings, tokens_path, model))
    )


def _measured(bench: Bench) -> tuple[pd.DataFrame, dict]:
    """What a timer measures; an engine that counts what its compiler costs finds no step compiled before."""
    if getattr(bench.engine, "compilation", None) is None:
        return Timer(bench).measure()
    # Reading a prompt is not counted, and its kernels may come from the cache.
    for point in bench.points:
        bench.engine.prefill(bench.texts(point), max_new_tokens=1)
    with without_compiled_before():
        return Timer(bench).measure()


class Timer:
    """The times of a run at its points, taken round by round, and the score of its engine.

    A round visits all points in turn, beside a bandwidth measurement; round 0 is warm-up and not counted.
    Whoever compares runs lets their timers take rounds in turn (benchmarks/ladder.py).

    Args:
        clock: times the engine, as clock.time_decode does.
        decode: gives the engine's logits, as decode.decode_logits does.
    """

    def __init__(self, bench: Bench, clock=time_decode, decode=decode_logits):
        self.bench, self.engine, self.device = bench, bench.engine, bench.model.device
        self.clock, self.decode = clock, decode
        self.speed, self.points = bench.speed, bench.points
        self.start = read_state(self.device)
        self.frames, self.summaries, self.bandwidths = [], [], []

    def measure(self) -> tuple[pd.DataFrame, dict]:
        """All rounds, one after another."""
        rounds = self.speed["repetitions"] + 1
        with Progress(self.bench.settings["label"], "points", rounds * len(self.points)) as progress:
            for repetition in range(rounds):
                self.engine.reset()  # its cache and the yardstick's arrays might not fit together
                self.take(repetition, measure_bandwidth(self.device), progress)
        return self.result()

    def take(self, repetition: int, bandwidth: dict, progress=lambda points: None) -> None:
        """One round, beside which `bandwidth` was measured."""
        for point in self.points:
            frame, summary = self._repetition(point, repetition)
            if repetition > 0:
                self.frames.append(frame)
                self.summaries.append(summary)
            progress(1)
        if repetition > 0:
            self.bandwidths.append(bandwidth)

    def result(self) -> tuple[pd.DataFrame, dict]:
        """The steps (COLUMNS) and the notes of all rounds."""
        for summary, reasons in zip(self.summaries, disturbances(self.summaries, self.start), strict=True):
            summary["disturbed"] = reasons
        notes = {"start": self.start, "points": self.summaries, "bandwidth_bytes_per_s": self.bandwidths}
        notes["compilation"] = self._compilation()  # before the score, whose shapes may be others
        found = score(self.bench, self.decode)
        return pd.concat(self.frames, ignore_index=True), {**notes, "score": found, "status": _status(found)}

    def _compilation(self) -> dict | None:
        """What the timed rounds, warm-up included, have cost the compiler; None if nothing is compiled."""
        cost = getattr(self.engine, "compilation", None)
        return cost and cost.notes()

    def _repetition(self, point: int, repetition: int) -> tuple[pd.DataFrame, dict]:
        self.engine.reset()  # or the peak would count the cache of the point before
        reset_peak(self.device)
        length = self._prompt_tokens(point, repetition)
        before = read_state(self.device)
        texts = self.bench.texts(length, repetition)
        timing = self.clock(self.engine, texts, self.speed["warmup"], self.bench.steps)
        state = {"before": before, "after": read_state(self.device)}
        step = np.arange(len(timing.steps_ms))
        where = {"kind": self.bench.kind, "point": point, "repetition": repetition}
        summary = {
            **where,
            "ttft_ms": timing.ttft_ms,
            "tpot_ms": timing.tpot_ms,
            "step_ms": timing.tpot_ms * sum(timing.tokens) / len(timing.tokens),
            "peak_memory_bytes": peak_bytes(self.device),
            "cache_bytes": self.engine.cache_bytes(),
            "store_bytes": self._store_bytes(),
            "bytes_per_step": self._bytes_per_step(length),
            "looped": timing.looped,
            "host_ms": host_ms(state),
            "state": state,
        }
        steps = {"step": step, "ms": timing.steps_ms, "tokens": timing.tokens, "judged": timing.judged}
        return pd.DataFrame({**where, **steps}).astype({"judged": "Int64"}), summary

    def _prompt_tokens(self, point: int, repetition: int) -> int:
        """The point itself; for a growing cache, what lets the timed stretch have the point in its middle.

        A stream meets every context length once. A kernel that plans anew for each length (transformers'
        default on CUDA does) must pay for it here too, and not find the plans of the repetition before. So no
        two repetitions share a length, unless the engine's shapes are static.
        """
        if self.bench.policy.cache != "growing":
            return point
        middle = (self.speed["repetitions"] + 1) // 2
        stretch = self.speed["warmup"] + self.bench.steps
        shift = 0 if self.bench.settings["engine"]["one_launch"] else (repetition - middle) * stretch
        return max(1, point + shift - stretch // 2)

    def _bytes_per_step(self, prompt_tokens: int) -> int:
        """Bytes that one of the timed steps must read: MBU is these over time and bandwidth."""
        first = prompt_tokens + self.speed["warmup"]
        steps, batch = range(first, first + self.bench.steps), self.bench.settings["batch"]
        return bytes_per_step(self.bench.model, self.bench.policy, batch, steps)

    def _store_bytes(self) -> int | None:
        """Bytes that the engine keeps for refreshes and no step reads; None where nothing is refreshed."""
        return self.engine.refresh.nbytes() if self.bench.policy.cache in REFRESHED else None


def _status(found: dict) -> str:
    """Times of an engine that computes NaN are no result."""
    if math.isfinite(found["max_gap"]):
        return "ok"
    return "invalid: the engine's NLLs are NaN or infinite on the tokens where it is scored"
