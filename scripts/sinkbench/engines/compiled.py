"""The static step through torch.compile, its kernels launched one by one."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing", "refreshed", "observed")


class Engine(StaticEngine):
    """See static_engine."""

    mode = "default"
