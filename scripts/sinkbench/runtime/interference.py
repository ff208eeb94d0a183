"""State of device and host around a timing, and the repetitions that other work disturbed.

The state is read before and after every repetition, outside of what is timed. A repetition is disturbed for
one of the reasons below; the numbers behind a reason are in its state. What a driver, or the absence of one,
does not tell is null and no reason.
"""

import os
import time
from collections.abc import Sequence
from statistics import fmean, median

import torch

from sinkbench.runtime.environment import number, nvidia_smi

GPU_FIELDS = {
    "sm_clock_mhz": "clocks.sm",
    "memory_clock_mhz": "clocks.mem",
    "power_w": "power.draw",
    "power_limit_w": "enforced.power.limit",
    "temperature_c": "temperature.gpu",
    "utilization_percent": "utilization.gpu",
}
EVENT_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")  # the latter: older drivers
# NVML's nvmlClocksEventReasons: hardware slowdown, thermal slowdown by software and by hardware, power brake.
SLOWDOWN_BITS = 0x08 | 0x20 | 0x40 | 0x80
CONTEXT_BYTES = 2 << 30  # more than a context, its kernels and its libraries take beside torch's own memory
CLOCK_SHARE = 0.05
SPREAD_MADS, SPREAD_SHARE = 5, 0.1
LOOPS, LOOP = 5, 20_000  # of the host's yardstick: 2 ms in all


def read_state(device: torch.device) -> dict:
    """Read clocks, power, temperature and users of the GPU, or a CPU's load average of the last minute.

    And how fast the host runs Python now (host_ms): engines that launch kernel after kernel wait for it.
    """
    if device.type != "cuda":
        return {"host_ms": _loop_ms(), "load_average": os.getloadavg()[0]}
    others = {"other_processes": _other_processes(), "other_memory_bytes": _other_memory()}
    return {"host_ms": _loop_ms(), **_clocks(), **others}


def disturbances(repetitions: Sequence[dict], start: dict) -> list[list[str]]:
    """Reasons for which each repetition of a run is disturbed; none for a clean repetition.

    Args:
        repetitions: with point, tpot_ms and state ({"before": ..., "after": ...}, by read_state).
        start: the state before the first of them; later the load average counts the run's own threads too.
    """
    loaded = start.get("load_average", 0) > os.cpu_count()
    common = ["load average above the core count at the start"] if loaded else []
    return [
        common + [reason for reason, applies in REASONS.items() if applies(repetition, repetitions)]
        for repetition in repetitions
    ]


def host_ms(state: dict) -> float:
    """The host's yardstick around a repetition; `state` as in `disturbances`."""
    return fmean(state[when]["host_ms"] for when in ("before", "after"))


def _loop_ms() -> float:
    """Milliseconds that a loop of LOOP empty turns takes now, the median of some."""
    times = []
    for _ in range(LOOPS):
        begun = time.perf_counter()
        for _ in range(LOOP):
            pass
        times.append(time.perf_counter() - begun)
    return 1e3 * median(times)


def _clocks() -> dict:
    answers = (nvidia_smi("gpu", *GPU_FIELDS.values(), events) for events in EVENT_FIELDS)
    (values,) = next(filter(None, answers), [[None] * (len(GPU_FIELDS) + 1)])
    *numbers, bits = values
    state = {name: number(value) for name, value in zip(GPU_FIELDS, numbers, strict=True)}
    return {**state, "clock_event_bits": _bits(bits)}


def _bits(text: str | None) -> int | None:
    try:
        return int(text, 16)
    except (TypeError, ValueError):
        return None


def _other_processes() -> int | None:
    """Processes that compute on the GPU. One of them is this one, under another number in some containers."""
    processes = nvidia_smi("compute-apps", "pid")
    return None if processes is None else max(0, len(processes) - 1)


def _other_memory() -> int:
    """Bytes in use beyond torch's own: this process's context, and processes that a container hides."""
    free, total = torch.cuda.mem_get_info()
    return total - free - torch.cuda.memory_reserved()


def _shared(repetition: dict, _: Sequence[dict]) -> bool:
    states = repetition["state"].values()
    return any(
        (state.get("other_processes") or 0) > 0 or state.get("other_memory_bytes", 0) > CONTEXT_BYTES
        for state in states
    )


def _slowed(repetition: dict, _: Sequence[dict]) -> bool:
    bits = (state.get("clock_event_bits") or 0 for state in repetition["state"].values())
    return any(value & SLOWDOWN_BITS for value in bits)


def _off_clock(repetition: dict, repetitions: Sequence[dict]) -> bool:
    """By the clock right after the timed stretch: before it the GPU may have been idle."""
    clocks = [other["state"]["after"].get("sm_clock_mhz") for other in repetitions]
    known, own = [clock for clock in clocks if clock], repetition["state"]["after"].get("sm_clock_mhz")
    return bool(own) and abs(own / median(known) - 1) > CLOCK_SHARE


def _slow(repetition: dict, repetitions: Sequence[dict]) -> bool:
    times = [other["tpot_ms"] for other in _of_point(repetition, repetitions)]
    middle = median(times)
    spread = median(abs(time - middle) for time in times)
    return repetition["tpot_ms"] - middle > max(SPREAD_MADS * spread, SPREAD_SHARE * middle)


def _waited(repetition: dict, repetitions: Sequence[dict]) -> bool:
    """Slower than the fastest of its point, and so was the host."""
    fastest = min(_of_point(repetition, repetitions), key=lambda other: other["tpot_ms"])
    slower = repetition["tpot_ms"] / fastest["tpot_ms"] - 1
    host, fast_host = host_ms(repetition["state"]), host_ms(fastest["state"])
    return slower > SPREAD_SHARE and host > (1 + SPREAD_SHARE) * fast_host


def _of_point(repetition: dict, repetitions: Sequence[dict]) -> list[dict]:
    return [other for other in repetitions if other["point"] == repetition["point"]]


REASONS = {
    "another process on the GPU": _shared,
    "thermal or power-brake slowdown": _slowed,
    f"SM clock more than {CLOCK_SHARE:.0%} off the run's median": _off_clock,
    f"TPOT more than {SPREAD_MADS} MAD and {SPREAD_SHARE:.0%} above the point's median": _slow,
    f"TPOT and host more than {SPREAD_SHARE:.0%} slower than in the point's fastest repetition": _waited,
}
