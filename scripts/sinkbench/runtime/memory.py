"""Memory of a device: the peak that a stretch of work takes, and the bandwidth of reading and copying."""

import torch

from sinkbench.errors import Unavailable
from sinkbench.runtime.device import elapsed_ms, record_event, synchronise

RESET_PEAK = "5"  # man 5 proc, /proc/pid/clear_refs: reset the peak resident set size
# Of the arrays that are read and copied: several times any last-level cache.
BYTES = {"cuda": 4 << 30, "cpu": 256 << 20}
REPEATS = 3


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write(RESET_PEAK)
    except OSError as error:
        raise Unavailable(
            f"peak memory on a CPU is read from Linux's /proc, which refuses: {error}"
        ) from None


def peak_bytes(device: torch.device) -> int:
    """The peak since the last reset."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


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
