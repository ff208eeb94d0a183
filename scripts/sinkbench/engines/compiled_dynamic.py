"""A cache that grows by concatenation, through torch.compile for all lengths at once (symbolic shapes)."""

from sinkbench.growing_engine import GrowingEngine

CACHES = ("growing",)


class Engine(GrowingEngine):
    """See growing_engine."""

    dynamic = True
