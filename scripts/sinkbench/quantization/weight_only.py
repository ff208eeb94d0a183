"""Weight-only int8 and int4: linear layers that store packed words and scales.

Whoever reads a weight as a tensor, as `forward` does, gets scale * q rounded to the model's dtype. The fused
kernels multiply integers and scale float32 sums, so no weight is rounded again there; only several streams in
int4 read rounded weights. A float32 twin (model.widened) has scale * q itself.

Rounding is symmetric, to nearest: integers q and scales such that scale * q is near a weight. int8 has one
scale per row, int4 one per 128 inputs. The scale puts the weight of largest magnitude at 127 or at -8, so it
may be negative: [-8, 7] reaches further down than up, and a sign spends all of it (so does llama.cpp's Q4_0).

Packed weights are int32 words, the layout that the project's kernels read. The K inputs are cut in groups of
128; P = 128 * bits / 32 words hold one group (int8: 32, int4: 16). The integer q at input 128 * g + P * j + c
lies in word g * P + c at bits [bits * j, bits * (j + 1)), stored as q + 2 ** (bits - 1). So plane j of a
group's words stands against P contiguous inputs.
"""

import torch
from torch import Tensor
from torch.nn import Linear, Module

from sinkbench.runtime.dtypes import at_least_float32

GROUP = 128  # inputs
RANGE = {8: (-127, 127), 4: (-8, 7)}
EXTREME = {8: 127, 4: -8}  # where the weight of largest magnitude goes
CHUNK = 2**24  # weights rounded at a time: temporaries of some 64 MB each


def quantize(model: Module, names: tuple[str, ...], bits: int) -> Module:
    """`model`, with every layer whose last name is one of `names` replaced in place, one at a time."""
    for path in [path for path, _ in model.named_modules() if path.split(".")[-1] in names]:
        parent, name = model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
        setattr(parent, name, QuantizedLinear(getattr(parent, name), bits))
    return model


class QuantizedLinear(Module):
    """A linear layer that stores `linear`'s weight [rows, inputs] in `bits` (8 or 4) bits.

    Buffers: packed, int32 [rows, K * bits / 32], and scales (see the module). K is the number of inputs, or
    the next multiple of 128: weights of 0 then fill the last group.
    """

    def __init__(self, linear: Linear, bits: int):
        super().__init__()
        self.bits, self.bias = bits, linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed, scales = _quantized(linear.weight.detach(), bits)
        self.register_buffer("packed", packed)
        self.register_buffer("scales", scales)

    @property
    def weight(self) -> Tensor:
        """The dequantised weight [rows, inputs] in the original dtype, made anew at each reading."""
        return dequantize(unpack(self.packed, self.bits), self.scales)[:, : self.in_features]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [..., rows] of inputs [..., K]."""
        return torch.nn.functional.linear(x, self.weight, self.bias)


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


def pack(q: Tensor, bits: int) -> Tensor:
    """Words, int32 [rows, K * bits / 32], of q, int8 [rows, K]; K is a multiple of 128."""
    shifts = _shifts(bits, q.device)
    unsigned = q.to(torch.int32) + 2 ** (bits - 1)
    planes = unsigned.view(len(q), -1, len(shifts), GROUP // len(shifts))
    return (planes << shifts).sum(2, dtype=torch.int32).flatten(1)  # no two planes share a bit: sum is "or"


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The q that `pack` took, int8 [rows, K]."""
    shifts = _shifts(bits, packed.device)
    words = packed.view(len(packed), -1, 1, GROUP // len(shifts))
    unsigned = (words >> shifts) & (2**bits - 1)
    return (unsigned - 2 ** (bits - 1)).to(torch.int8).view(len(packed), -1)


def _quantized(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Words and scales of a weight [rows, inputs], some rows at a time."""
    rows = max(1, CHUNK // weight.shape[1])
    words, scales = zip(*(_quantized_rows(part, bits) for part in weight.split(rows)), strict=True)
    return torch.cat(words), torch.cat(scales)


def _quantized_rows(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    filled = torch.nn.functional.pad(weight, (0, -weight.shape[1] % GROUP))
    q, scales = quantize_rows(filled, bits)
    return pack(q, bits), scales


def _scales(groups: Tensor, extreme: int, dtype: torch.dtype) -> Tensor:
    """Scales [rows, groups] that put the weight of largest magnitude in each group at the integer `extreme`.

    Never 0, not even where all weights are, and never so large that scale * extreme overflows `dtype`.
    """
    lowest, highest = groups.aminmax(dim=-1)
    scales = torch.where(highest > -lowest, highest, lowest) / extreme
    limits = torch.finfo(dtype)
    largest = limits.max / abs(extreme) * (1 - limits.eps)  # still below max / extreme when rounded up
    return scales.abs().clamp(limits.tiny, largest).copysign(scales).to(dtype)


def _shifts(bits: int, device: torch.device) -> Tensor:
    """First bit of each plane, int32 [planes, 1]."""
    return torch.arange(0, 32, bits, dtype=torch.int32, device=device)[:, None]
