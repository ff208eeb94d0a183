"""One speed job: time and memory of one run (method and engine), and the NLLs of what was timed."""

import math
import traceback
from textwrap import shorten

import numpy as np
import pandas as pd
import torch

from sinkbench import engines, policies, quantizations
from sinkbench.bandwidth import measure_bandwidth
from sinkbench.clock import time_decode
from sinkbench.decoding import decode_nll
from sinkbench.environment import environment
from sinkbench.errors import Unavailable
from sinkbench.gpu_state import disturbances, read_state
from sinkbench.memory import peak_bytes, reset_peak
from sinkbench.models import cache_bytes_per_key, load_model, weight_bytes_per_token
from sinkbench.progress import Progress
from sinkbench.quality import check_vocabulary
from sinkbench.records import stamp
from sinkbench.scorer import Scorer
from sinkbench.store import write_table
from sinkbench.tokens import load_documents

# What torch's plain RuntimeErrors say where the device, and no program, is at fault.
OF_THE_DEVICE = (
    "CUDA error",
    "CUDA driver error",
    "Triton Error",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "cuDNN Frontend error",
)
OF_COMPILERS = ("triton.", "torch._dynamo.", "torch._inductor.")  # packages of errors that end a compilation
STATUS_CHARACTERS = 200


def measure_speed(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write the per-step times (kind, point, repetition, step, ms) and, as notes, a summary per point.

    An engine that cannot run here, or whose run the device or a compiler ends, leaves an empty table whose
    status says why; it never falls back.

    Args:
        settings: model, device, policy, with, engine, batch, chunk_tokens, speed
            (see study.Study.speed_settings).

    Raises:
        Exception: whatever else goes wrong; an error of this program is no result.
    """
    notes = {"stamp": stamp(settings), "environment": environment(settings["device"])}
    try:
        steps, measured = _Bench(settings, tokens_path).measure()
        notes |= {"status": _status(measured["score"]), **measured}
    except Exception as error:
        if (kind := _failure(error)) is None:
            raise
        traceback.print_exc()
        notes |= {"status": shorten(f"{kind}: {error}", STATUS_CHARACTERS)}
        steps = pd.DataFrame(columns=["kind", "point", "repetition", "step", "ms"])
        print(f"NO TIMES {settings['label']}: {notes['status']}", flush=True)
    write_table(output_path, steps, notes)


def _failure(error: Exception) -> str | None:
    """What became of a run that ended in `error`; None if the error is one of this program."""
    if isinstance(error, (Unavailable, torch.OutOfMemoryError)):
        return "unavailable"
    if isinstance(error, torch.AcceleratorError) or type(error).__module__.startswith(OF_COMPILERS):
        return "failed"
    named = any(words in str(error) for words in OF_THE_DEVICE)
    return "failed" if isinstance(error, RuntimeError) and named else None


def _status(score: dict) -> str:
    """Times of an engine that computes NaN are no result."""
    if math.isfinite(score["max_gap"]):
        return "ok"
    return "invalid: the engine's NLLs are NaN or infinite on the tokens where it is scored"


class _Bench:
    def __init__(self, settings: dict, tokens_path: str):
        self.settings, self.speed = settings, settings["speed"]
        self.policy = policies.build(settings["policy"], settings["with"])
        self.kind, self.points = self.speed["kind"], self.speed["points"]
        self.steps = -(-self.speed["steps"] // self.policy.period) * self.policy.period
        model = load_model(settings["model"], settings["device"])
        self.model = quantizations.apply(settings["quantization"], model)
        self.scorer = Scorer(self.model, settings["chunk_tokens"])
        self.engine = engines.build(settings["engine"], self.model, self.policy, self.scorer)
        self.text = self._text(load_documents(tokens_path, settings["tokens"]))

    def measure(self) -> tuple[pd.DataFrame, dict]:
        """Rounds visit all points in turn, beside a bandwidth measurement; the first is warm-up."""
        start, frames, points, bandwidths = read_state(self.model.device), [], [], []
        rounds = self.speed["repetitions"] + 1
        with Progress(self.settings["label"], "points", rounds * len(self.points)) as progress:
            for repetition in range(rounds):
                bandwidths.append(measure_bandwidth(self.model.device))
                for point in self.points:
                    frame, summary = self._repetition(point, repetition)
                    frames += [frame] * (repetition > 0)
                    points += [summary] * (repetition > 0)
                    progress(1)
        for summary, reasons in zip(points, disturbances(points, start), strict=True):
            summary["disturbed"] = reasons
        measured = {"start": start, "points": points, "bandwidth_bytes_per_s": bandwidths[1:]}
        return pd.concat(frames, ignore_index=True), {**measured, "score": self._score()}

    def _repetition(self, point: int, repetition: int) -> tuple[pd.DataFrame, dict]:
        self.engine.reset()  # or the peak would count the cache of the point before
        reset_peak(self.model.device)
        length = self._prompt_tokens(point, repetition)
        before = read_state(self.model.device)
        timing = time_decode(self.engine, self._texts(length), self.speed["warmup"], self.steps)
        state = {"before": before, "after": read_state(self.model.device)}
        step = np.arange(len(timing.steps_ms))
        where = {"kind": self.kind, "point": point, "repetition": repetition}
        summary = {
            **where,
            "ttft_ms": timing.ttft_ms,
            "tpot_ms": timing.tpot_ms,
            "peak_memory_bytes": peak_bytes(self.model.device),
            "cache_bytes": self.engine.cache_bytes(),
            "bytes_per_step": self._bytes_per_step(length),
            "state": state,
        }
        return pd.DataFrame({**where, "step": step, "ms": timing.steps_ms}), summary

    def _prompt_tokens(self, point: int, repetition: int) -> int:
        """The point itself; for a growing cache, lengths around it that no two repetitions share.

        A stream meets every context length once. A kernel that plans anew for each length (transformers'
        default on CUDA does) must pay for it here too, and not find the plans of the repetition before.
        """
        if self.policy.cache != "growing":
            return point
        middle = (self.speed["repetitions"] + 1) // 2
        stretch = self.speed["warmup"] + self.steps
        return max(1, point + (repetition - middle) * stretch - stretch // 2)

    def _bytes_per_step(self, prompt_tokens: int) -> int:
        """Bytes that a step must read: the weights, and the keys and values that it sees."""
        first = prompt_tokens + self.speed["warmup"]
        visibility = self.policy.visibility(first + self.steps)
        seen = [visibility.keys_at(position) for position in range(first, first + self.steps)]
        keys = round(sum(seen) / self.steps) if self.policy.cache != "fresh" else 0
        keys *= self.settings["batch"]
        return weight_bytes_per_token(self.model) + keys * cache_bytes_per_key(self.model)

    def _score(self) -> dict:
        """Mean and largest |NLL difference| to the exact evaluator, around the point where a cache fills."""
        count = self.speed["score_tokens"]
        start = self._scored_from()
        texts = self._texts(start + count)
        scored = range(start - 1, start + count - 1)
        exact = torch.stack([self.policy.nll_at(self.scorer, text, scored) for text in texts])
        gap = (decode_nll(self.engine, texts, start) - exact).abs()
        gaps = {"mean_gap": float(gap.mean()), "max_gap": float(gap.max())}
        return {"from": start - 1, "tokens": gap.numel(), **gaps}

    def _scored_from(self) -> int:
        budget = self.policy.visibility(min(self.points)).budget
        return max(1, budget - self.speed["score_tokens"] // 2)

    def _texts(self, length: int) -> torch.Tensor:
        """A stretch of the stream for every member of the batch [batch, length]; no two begin alike."""
        return torch.stack([self.text[row : row + length] for row in range(self.settings["batch"])])

    def _text(self, documents: dict) -> torch.Tensor:
        """The corpus as one stream, repeated until it is long enough for every point."""
        ids = np.concatenate(list(documents.values()))
        rounds = self.speed["repetitions"] + 1
        timed = max(self.points) + rounds * (self.speed["warmup"] + self.steps)
        needed = max(timed, self._scored_from() + self.speed["score_tokens"] + 1) + self.settings["batch"]
        text = torch.from_numpy(np.resize(ids, needed)).to(self.model.device)
        check_vocabulary(self.model, text, "of the timed stream")
        return text
