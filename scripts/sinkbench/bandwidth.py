"""Memory bandwidth as this device shows it: the denominator of MBU."""

import time

import torch

from sinkbench.clock import synchronise

BYTES = {"cuda": 4 << 30, "cpu": 256 << 20}  # several times any last-level cache


class BandwidthProbe:
    """Measures bytes/s of reading and of copying a large array, whichever is faster."""

    def __init__(self, device: torch.device):
        self.device = device
        count = BYTES[device.type] // 4
        self.source = torch.zeros(count, dtype=torch.float32, device=device)
        self.target = torch.empty_like(self.source)
        self()  # first touch of the pages

    def __call__(self) -> float:
        """Bytes per second, best of reading and copying."""
        copied = 2 * self.source.nbytes / self._seconds(lambda: self.target.copy_(self.source))
        read = self.source.nbytes / self._seconds(lambda: self.source.sum())
        return max(copied, read)

    def _seconds(self, work, repeats: int = 3) -> float:
        times = []
        for _ in range(repeats):
            synchronise(self.device)
            begun = time.perf_counter()
            work()
            synchronise(self.device)
            times.append(time.perf_counter() - begun)
        return min(times)
