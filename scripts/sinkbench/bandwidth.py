"""Memory bandwidth as this device shows it: the denominator of MBU."""

import time

import torch

from sinkbench.clock import synchronise

BYTES = {"cuda": 4 << 30, "cpu": 256 << 20}  # several times any last-level cache
REPEATS = 3


def measure_bandwidth(device: torch.device) -> float:
    """Bytes per second of reading or of copying a large array, whichever is faster.

    The arrays live no longer than the call, so that they count towards no peak of memory.
    """
    source = torch.zeros(BYTES[device.type] // 4, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    copied = 2 * source.nbytes / _best_seconds(device, lambda: target.copy_(source))
    read = source.nbytes / _best_seconds(device, source.sum)
    return max(copied, read)


def _best_seconds(device: torch.device, work) -> float:
    times = []
    for _ in range(REPEATS):
        synchronise(device)
        begun = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - begun)
    return min(times)
