"""Wait for a device and mark moments on it, for CUDA and CPUs alike."""

import time

import torch


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


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
