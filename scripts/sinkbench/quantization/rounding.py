"""Symmetric round-to-nearest: integers q and scales such that scale * q is near a weight.

int8 has one scale per row, int4 one per 128 inputs. The scale puts the weight of largest magnitude at 127 or
at -8, so it may be negative: [-8, 7] reaches further down than up, and a sign spends all of it (as Q4_0 does
in llama.cpp).
"""

import torch
from torch import Tensor

from sinkbench.quantization.packing import GROUP
from sinkbench.runtime.dtypes import at_least_float32

RANGE = {8: (-127, 127), 4: (-8, 7)}
EXTREME = {8: 127, 4: -8}  # where the weight of largest magnitude goes


def quantize_rows(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """q, int8 [rows, K], and scales in the weight's dtype, [rows, 1] (int8) or [rows, K / 128] (int4).

    Scales are rounded to their dtype before q is chosen, so that q is nearest for the stored scale.
    """
    low, high = RANGE[bits]
    width = GROUP if bits == 4 else weight.shape[1]
    groups = weight.to(at_least_float32(weight.dtype)).unflatten(1, (-1, width))
    scales = _scales(groups, EXTREME[bits], weight.dtype)
    q = (groups / scales[..., None]).round_().clamp_(low, high)
    return q.to(torch.int8).flatten(1), scales


def dequantize(q: Tensor, scales: Tensor) -> Tensor:
    """scale * q in the dtype of the scales, [rows, K].

    That is the float32 product rounded once: q is exact in every dtype, and torch multiplies half-precision
    numbers in float32.
    """
    groups = q.to(scales.dtype).unflatten(1, (scales.shape[1], -1))
    return (groups * scales[..., None]).flatten(1)


def _scales(groups: Tensor, extreme: int, dtype: torch.dtype) -> Tensor:
    """Scales [rows, groups] that put the weight of largest magnitude in each group at the integer `extreme`.

    Never 0, not even where all weights are, and never so large that scale * extreme overflows `dtype`.
    """
    lowest, highest = groups.aminmax(dim=-1)
    scales = torch.where(highest > -lowest, highest, lowest) / extreme
    limits = torch.finfo(dtype)
    largest = limits.max / abs(extreme) * (1 - limits.eps)  # still below max / extreme when rounded up
    return scales.abs().clamp(limits.tiny, largest).copysign(scales).to(dtype)
