"""The static step as it is, in a CUDA graph."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing", "refreshed", "observed")


class Engine(StaticEngine):
    """See static_engine."""

    captured = True
