"""The static step through torch.compile, matrix products by the fastest of several kernels."""

from sinkbench.tuned_engine import TunedEngine

CACHES = ("ring", "growing")


class Engine(TunedEngine):
    """See tuned_engine: this mode of torch includes coordinate descent."""

    mode = "max-autotune-no-cudagraphs"
