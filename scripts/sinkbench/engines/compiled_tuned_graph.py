"""The static step through torch.compile, its kernels tuned by coordinate descent, in a CUDA graph."""

from sinkbench.tuned_engine import TunedEngine

CACHES = ("ring", "growing")


class Engine(TunedEngine):
    """See tuned_engine: with the coordinate descent that TorchAO turns on for its weights."""

    mode = "coordinate-descent"
    captured = True
