"""torch.compile of whole functions, by mode, without a fallback to eager code."""

from collections.abc import Callable
from functools import cache
from types import FunctionType

import torch
from torch._dynamo.exc import Unsupported
from torch._inductor import config as inductor
from torch._inductor.exc import (
    GPUTooOldForTriton,
    InvalidCxxCompiler,
    MissingOperatorWithoutDecomp,
    TritonMissing,
)

from sinkbench.runtime.unavailable import NOT_CAPTURED, ON_CHIP_MEMORY, PACKAGE, Lack, unavailable_on

RECOMPILES = 64  # per function: each length of a growing cache is one (torch's default, 8, is soon reached)
RECOMPILE_LIMIT = 8  # torch's own default
REDUCE_OVERHEAD = "reduce-overhead"
# Arguments of torch.compile by mode; max-autotune tunes by coordinate descent as well.
MODES = {
    "default": {},
    "coordinate-descent": {"options": {"coordinate_descent_tuning": True}},
    "max-autotune-no-cudagraphs": {"mode": "max-autotune-no-cudagraphs"},
    REDUCE_OVERHEAD: {"options": {"triton.cudagraphs": True}},  # what torch's mode of this name sets
}
LACKS = (
    PACKAGE,
    ON_CHIP_MEMORY,
    Lack(InvalidCxxCompiler),
    Lack(RuntimeError, ("Failed to find C compiler",)),  # Triton's
    Lack(TritonMissing),
    Lack(GPUTooOldForTriton),
    Lack(Unsupported),  # Python that torch cannot trace
    Lack(MissingOperatorWithoutDecomp),
    Lack(NotImplementedError),  # an operator without a kernel for this device or number format
    Lack(RuntimeError, ("self.size(0) needs to be greater than 16",)),  # torch's product of int8 matrices
    Lack(RuntimeError, ("skipping cudagraphs due to",)),  # under REDUCE_OVERHEAD, as is the next one
    NOT_CAPTURED,
)


@cache
def compiled(function: Callable, mode: str = "default") -> Callable:
    """Compile the whole `function` at fixed shapes; raises Unavailable for one of LACKS.

    One compiled copy of a mode for the whole process, whoever asks. Without `fullgraph` a function that has
    been compiled too often would silently run uncompiled.

    Args:
        mode: a word of MODES.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILES)
    if mode == REDUCE_OVERHEAD:
        # An error where torch would do without a graph and only log it, while it compiles and in every run.
        inductor.triton.cudagraph_or_error = True
    fast = torch.compile(function, fullgraph=True, dynamic=False, **MODES[mode])

    def run(*arguments, **options):
        with unavailable_on(*LACKS, what="torch.compile"):
            return fast(*arguments, **options)

    return run


@cache
def compiled_while_patient(function: Callable, dynamic: bool) -> Callable:
    """Compile `function` with torch's own handling of shapes; raises Unavailable for one of LACKS.

    It is compiled for each new shape (`dynamic`: for all of them at once) up to RECOMPILE_LIMIT times. From
    then on torch runs what meets a new shape as it is, and only logs it. Whoever uses this must mean to
    measure it.
    """
    # Torch counts, and gives up, by code object: what other callers compile must not wear out its patience.
    own = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    fast = torch.compile(own, dynamic=dynamic)

    def run(*arguments):
        patience = torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT)
        with unavailable_on(*LACKS, what="torch.compile"), patience:
            return fast(*arguments)

    return run
