"""A neutral clock: every engine is timed by the same loop, which knows nothing of engines.

TTFT is the time from a prompt to its first token. TPOT = (latency - TTFT) / (n - 1), as vLLM and MLPerf
define it; here over the tokens after warm-up, so that it speaks of the steady state. Each step also feeds
the greedy token back, without the host waiting for the device.
"""

import time
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Timing:
    """One repetition. steps_ms are device times on CUDA (events) and wall times on a CPU."""

    ttft_ms: float
    tpot_ms: float  # wall clock
    steps_ms: list[float]


def time_decode(engine, prompt: Tensor, warmup: int, steps: int) -> Timing:
    """Prefill `prompt` [T], take `warmup` untimed steps, then time `steps` of them."""
    synchronise(prompt.device)
    begun = time.perf_counter()
    token = _greedy(engine.prefill(prompt))
    synchronise(prompt.device)
    ttft_ms = 1e3 * (time.perf_counter() - begun)
    for _ in range(warmup):
        token = _greedy(engine.step(token))
    synchronise(prompt.device)
    begun = time.perf_counter()
    marks = [_mark(prompt.device)]
    for _ in range(steps):
        token = _greedy(engine.step(token))
        marks.append(_mark(prompt.device))
    synchronise(prompt.device)
    tpot_ms = 1e3 * (time.perf_counter() - begun) / steps
    return Timing(ttft_ms, tpot_ms, [_elapsed_ms(*pair) for pair in pairwise(marks)])


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def _greedy(logits: Tensor) -> Tensor:
    return logits.argmax(dim=-1, keepdim=True)


def _mark(device: torch.device):
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _elapsed_ms(first, second) -> float:
    if isinstance(first, float):
        return 1e3 * (second - first)
    return first.elapsed_time(second)
