"""The static step through torch.compile, its kernels tuned by coordinate descent."""

from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing")


class Engine(StaticEngine):
    """See static_engine. A product with one row also becomes a reduction, whose kernel can then be tuned."""

    mode = "coordinate-descent"
