"""A cache that grows by concatenation, through torch.compile at fixed shapes: compiled anew for every token.

After a few lengths torch gives up and runs the step as it is (see compilation.compiled_while_patient): that
is what is measured.
"""

from sinkbench.growing_engine import GrowingEngine

CACHES = ("growing",)


class Engine(GrowingEngine):
    """See growing_engine."""

    dynamic = False
