"""A cache that grows by concatenation, its step as it is."""

from sinkbench.growing_engine import GrowingEngine

CACHES = ("growing",)


class Engine(GrowingEngine):
    """See growing_engine."""
