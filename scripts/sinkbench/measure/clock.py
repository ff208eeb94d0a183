"""A neutral clock: every engine is timed by the same loop, which knows nothing of engines.

TTFT is the time from a prompt to its first token. TPOT = (latency - TTFT) / (n - 1), as vLLM and MLPerf
define it (per step of the whole batch); here over the tokens after warm-up, so that it speaks of the steady
state. The clock runs from the end of the last warm-up step to the end of the last timed one: neither a first
launch onto a resting device nor a last wait for it is in it.

TPOT includes the choice of the greedy token, an argmax over the vocabulary, and whatever copies it to where
the next step reads it: a token costs both. They are no part of the profile's step. The host never waits.
"""

import time
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from sinkbench.engines.decode import greedy
from sinkbench.runtime.device import elapsed_ms, record_event, synchronise


@dataclass(frozen=True)
class Timing:
    """One repetition. A step lasts from the end of the last one to its own, by the device's clock on CUDA."""

    ttft_ms: float  # wall clock of the host
    tpot_ms: float
    steps_ms: list[float]
    tokens: list[int]  # that each step gave to every stream
    judged: list[int] | None = None  # drafts of each round, up to the first that did not stay
    looped: bool | None = None  # whether the rounds' text became a loop (places.has_looped)


def time_decode(engine, prompts: Tensor, warmup: int, steps: int) -> Timing:
    """Prefill `prompts` [batch, T], take `warmup` untimed steps, then time `steps` of them."""
    synchronise(prompts.device)
    begun = time.perf_counter()
    tokens = greedy(engine.prefill(prompts, warmup + steps))
    synchronise(prompts.device)
    ttft_ms = 1e3 * (time.perf_counter() - begun)
    for _ in range(warmup):
        tokens = greedy(engine.step(tokens))
    marks = [record_event(prompts.device)]
    for _ in range(steps):
        tokens = greedy(engine.step(tokens))
        marks.append(record_event(prompts.device))
    synchronise(prompts.device)
    tpot_ms = elapsed_ms(marks[0], marks[-1]) / steps
    return Timing(ttft_ms, tpot_ms, [elapsed_ms(*pair) for pair in pairwise(marks)], [1] * steps)
