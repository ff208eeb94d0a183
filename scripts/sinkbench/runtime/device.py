"""Wait for a device, mark moments on it, and ask what it can, for CUDA and CPUs alike."""

import time

import torch


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def launches_overlap(device: torch.device) -> bool:
    """Whether a kernel may start before its predecessor ends (PDL): from compute capability 9.0 on."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)


def record_event(device: torch.device) -> float | torch.cuda.Event:
    """Mark this moment: an event of the device's stream on CUDA, wall-clock seconds on a CPU."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def elapsed_ms(first, second) -> float:
    """Milliseconds between two marks; a CUDA device must have reached the second one."""
    if isinstance(first, float):
        return 1e3 * (second - first)
    return first.elapsed_time(second)
