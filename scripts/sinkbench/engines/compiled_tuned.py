"""The static step through torch.compile, its kernels tuned by coordinate descent."""

from sinkbench.tuned_engine import TunedEngine

CACHES = ("ring", "growing")


class Engine(TunedEngine):
    """See tuned_engine."""

    mode = "coordinate-descent"
