"""The static step through torch.compile, in CUDA graphs of torch's own making."""

from sinkbench.compilation import REDUCE_OVERHEAD
from sinkbench.static_engine import StaticEngine

CACHES = ("ring", "growing")


class Engine(StaticEngine):
    """See static_engine; `compiled_graph` is the same in one graph that we capture."""

    mode = REDUCE_OVERHEAD
