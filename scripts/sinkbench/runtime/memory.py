"""Peak memory of a stretch of work: device memory on CUDA, resident memory of the process on a CPU."""

import torch

from sinkbench.errors import Unavailable

RESET_PEAK = "5"  # man 5 proc, /proc/pid/clear_refs: reset the peak resident set size


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
