"""What torch.compile costs: the time of the calls that compile, and the graphs that they make."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import torch

from sinkbench.runtime.device import synchronise

# Names of the folders where what torch and triton compiled outlives a process. The processes that compile for
# torch are told of both; one without a name they would keep from before.
CACHE, TRITON_CACHE = "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"


class CompileCost:
    """Counts, for one engine, what is spent in `watched`.

    Attributes:
        seconds: wall time of the calls that compiled something, with what else they did: tuning, loading and
            the first run of what came out.
        graphs: what torch compiled; the same function at another shape is another one.
    """

    def __init__(self, device: torch.device):
        self.device, self.seconds, self.graphs = device, 0.0, 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count the calls in the block that compile something."""
        before, begun = _graphs(), time.perf_counter()
        yield
        if made := _graphs() - before:
            synchronise(self.device)
            self.seconds += time.perf_counter() - begun
            self.graphs += made

    def notes(self) -> dict:
        """The counts as plain data."""
        return {"seconds": self.seconds, "graphs": self.graphs}


def _graphs() -> int:
    """Graphs that torch has compiled in this process."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@contextmanager
def without_compiled_before() -> Iterator[None]:
    """Hide what earlier processes compiled, so that compile times start from an empty cache.

    What this process has compiled already it keeps.
    """
    before = {name: os.environ.get(name) for name in (CACHE, TRITON_CACHE)}
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= {CACHE: folder, TRITON_CACHE: f"{folder}/triton"}
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
