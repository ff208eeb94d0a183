"""Memory of a device: the peak that a stretch of work takes, and the bandwidth of reading and copying."""

import torch

from sinkbench.errors import Unavailable
from sinkbench.runtime.device import elapsed_ms, record_event, synchronise

RESET_PEAK = "5"  # man 5 proc, /proc/pid/clear_refs: reset the peak resident set size
# Of an array that is read or copied: several times any last-level cache.
BYTES = {"cuda": 1 << 30, "cpu": 256 << 20}
IN_A_ROW = {"cuda": 8, "cpu": 1}  # timed together: launches cost a device time, and a CPU none
AHEAD = {"cuda": 2, "cpu": 0}  # not timed: the device is busy while the host launches those that are
REPEATS = 3


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write(RESET_PEAK)
    except OSError as error:
        raise Unavailable(
            f"peak memory on a CPU is read from Linux's /proc, which refuses: {error}"
        ) from None


def peak_bytes(device: torch.device) -> int:
    """The peak since the last reset."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    with open("/proc/self/status", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure_bandwidth(device: torch.device) -> dict[str, float]:
    """Bytes per second of reading ("read") and of copying ("copy": read and written) a large array.

    Device time on CUDA (events), wall time on a CPU; the best of a few. A device reads or copies several
    times in a row, so that no wait for a launch is in the time. The arrays are freed on return, and count
    towards no peak of memory that is reset later.
    """
    source = torch.zeros(BYTES[device.type] // 4, dtype=torch.float32, device=device)
    read = source.nbytes / _best_seconds(device, source.sum)
    target = torch.empty_like(source)  # not there yet while the other is read
    return {"read": read, "copy": 2 * source.nbytes / _best_seconds(device, lambda: target.copy_(source))}


def _best_seconds(device: torch.device, work) -> float:
    """Seconds of one piece of work among those in a row."""
    times_ms = []
    for _ in range(REPEATS):
        for _ in range(AHEAD[device.type]):
            work()
        begun = record_event(device)
        for _ in range(IN_A_ROW[device.type]):
            work()
        ended = record_event(device)
        synchronise(device)
        times_ms.append(elapsed_ms(begun, ended) / IN_A_ROW[device.type])
    return 1e-3 * min(times_ms)
