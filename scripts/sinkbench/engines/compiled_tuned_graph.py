"""The static step through torch.compile, its kernels tuned by coordinate descent, in a CUDA graph."""

from sinkbench.tuned_engine import TunedEngine

CACHES = ("ring", "growing")


class Engine(TunedEngine):
    """See tuned_engine: what TorchAO asks of torch.compile for its weights, without the launches."""

    mode = "coordinate-descent"
    captured = True
