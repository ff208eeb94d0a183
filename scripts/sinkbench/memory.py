"""Peak memory of a stretch of work: device memory on CUDA, resident memory of the process on a CPU."""

import torch

RESET_PEAK = "5"  # man 5 proc, /proc/pid/clear_refs: reset the peak resident set size


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with open("/proc/self/clear_refs", "w") as file:
        file.write(RESET_PEAK)


def peak_bytes(device: torch.device) -> int:
    """The peak since the last reset."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
