"""Measure the memory bandwidth of a device, the denominator of MBU."""

import torch

from sinkbench.runtime.device import elapsed_ms, record_event, synchronise

BYTES = {"cuda": 4 << 30, "cpu": 256 << 20}  # several times any last-level cache
REPEATS = 3


def measure_bandwidth(device: torch.device) -> dict[str, float]:
    """Bytes per second of reading ("read") and of copying ("copy": read and written) a large array.

    Device time on CUDA (events), wall time on a CPU; the best of a few. The arrays live no longer than the
    call, so that they count towards no peak of memory.
    """
    source = torch.zeros(BYTES[device.type] // 4, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    return {
        "read": source.nbytes / _best_seconds(device, source.sum),
        "copy": 2 * source.nbytes / _best_seconds(device, lambda: target.copy_(source)),
    }


def _best_seconds(device: torch.device, work) -> float:
    times_ms = []
    for _ in range(REPEATS):
        begun = record_event(device)
        work()
        ended = record_event(device)
        synchronise(device)
        times_ms.append(elapsed_ms(begun, ended))
    return 1e-3 * min(times_ms)
