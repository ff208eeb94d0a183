"""The static step as it is, its kernels launched one by one: what compilers and CUDA graphs start from."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing")


class Engine(StaticEngine):
    """See static_engine."""
