"""torch.compile for a whole process, and never half-heartedly."""

from collections.abc import Callable
from functools import cache

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

from sinkbench.refusal import unavailable_on

RECOMPILES = 64  # per function: each length of a growing cache is one (torch's default, 8, is soon reached)


@cache
def compiled(function: Callable) -> Callable:
    """`function` through torch.compile, whole, at fixed shapes; raises Unavailable where that fails.

    One compiled copy for the whole process, whoever asks. Without `fullgraph` a function that has been
    compiled too often would silently run uncompiled.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILES)
    fast = torch.compile(function, fullgraph=True, dynamic=False)

    def run(*arguments, **options):
        with unavailable_on(TorchDynamoException, FailOnRecompileLimitHit, what="torch.compile"):
            return fast(*arguments, **options)

    return run
