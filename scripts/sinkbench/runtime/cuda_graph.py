"""Record a decode step as one CUDA graph, whose replay costs one launch."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

from sinkbench.runtime.unavailable import NOT_CAPTURED, unavailable_on

WARM_UPS = 3  # runs before a capture, as torch's documentation advises: libraries allocate their workspaces


def capture(step: Callable, rewind: Callable[[], None] = lambda: None) -> Callable:
    """A function that replays `step()` and returns its output, the same tensors every time.

    Args:
        step: takes no argument and reads and writes only tensors that stay where they are. Run again
            after `rewind` it must do the same again: it is warmed up on the live state.
        rewind: sets back what a run of `step` advanced.

    Raises Unavailable if the step has an operation that no graph can hold, and the step's own errors. On
    return the state is that before the call.
    """
    _warm_up(step, rewind)
    graph = torch.cuda.CUDAGraph()
    with (
        unavailable_on(NOT_CAPTURED, what="no CUDA graph"),
        _own_workspace(),
        _no_collection(),
        torch.cuda.graph(graph, stream=_side_stream()),
    ):
        output = step()

    def replay():
        graph.replay()
        return output

    replay.step = step  # the graph knows the addresses of what it reads, but does not keep it
    return replay


@contextmanager
def _own_workspace() -> Iterator[None]:
    """Have what is captured keep a workspace of cuBLAS of its own, in the graph's own memory.

    Torch frees the workspaces of the whole process whenever a compiled function records CUDA graphs
    (torch._inductor.cudagraph_trees). A graph that used a shared one would then write to memory that belongs
    to others, or to nobody.
    """
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's collector of cycles out: the graph that it may find cannot be destroyed in a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _warm_up(step: Callable, rewind: Callable[[], None]) -> None:
    side = _side_stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            step()
            rewind()
    torch.cuda.current_stream().wait_stream(side)


@cache
def _side_stream() -> torch.cuda.Stream:
    """Return the one side stream of the process: libraries keep a workspace for every stream."""
    return torch.cuda.Stream()
