"""Prefetch weights of the next launch into the L2 cache, so that memory does not rest between launches.

A launch ends with work that reads little: last sums, then the start of the next one. What it asks for as it
ends is on its way meanwhile, and takes no registers. Changes no result.
"""

import triton
import triton.language as tl
from triton import cdiv, next_power_of_2

from sinkbench.engines.fused.weights import FusedLinear

LINE_BYTES = tl.constexpr(128)


@triton.jit
def prefetch_l2(weight, program, LINES: tl.constexpr, NBYTES: tl.constexpr):
    """Ask for LINES of the first lines of a matrix of NBYTES, those of this program; 0: for none."""
    if LINES > 0:
        line = program * LINES + tl.arange(0, LINES)
        address = weight.to(tl.int64) + tl.minimum(line * LINE_BYTES, NBYTES - 1)
        ask: tl.constexpr = "prefetch.global.L2 [$1]; mov.u32 $0, 0;"
        tl.inline_asm_elementwise(ask, "=r,l", [address], tl.int32, is_pure=False, pack=1)


def asked(linear: FusedLinear, programs: int, nbytes: int) -> dict:
    """Constants of `prefetch_l2` for about `nbytes` of a layer's weights, asked for by so many programs."""
    lines = next_power_of_2(cdiv(nbytes, LINE_BYTES.value * programs)) if nbytes else 0
    return {"LINES": lines, "AHEAD_BYTES": linear.weight.nbytes}
