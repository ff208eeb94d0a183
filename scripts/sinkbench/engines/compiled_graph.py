"""The static step through torch.compile, in a CUDA graph."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing", "refreshed", "observed")


class Engine(StaticEngine):
    """See static_engine."""

    mode = "default"
    captured = True
