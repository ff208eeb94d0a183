"""The static step as it is, in a CUDA graph."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing")


class Engine(StaticEngine):
    """See static_engine."""

    captured = True
