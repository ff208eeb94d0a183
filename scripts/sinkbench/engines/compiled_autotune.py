"""The static step through torch.compile, matrix products by the fastest of several kernels."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing")


class Engine(StaticEngine):
    """See static_engine. This mode of torch includes coordinate descent (`compiled_tuned`)."""

    mode = "max-autotune-no-cudagraphs"
