"""Quantized weights in int32 words: the layout that the project's kernels read.

The K inputs are cut in groups of 128; P = 128 * bits / 32 words hold one group (int8: 32, int4: 16).
The integer q at input 128 * g + P * j + c lies in word g * P + c at bits [bits * j, bits * (j + 1)), stored
as q + 2 ** (bits - 1). So plane j of a group's words stands against P contiguous inputs.
"""

import torch
from torch import Tensor

GROUP = 128  # inputs


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


def _shifts(bits: int, device: torch.device) -> Tensor:
    """First bit of each plane, int32 [planes, 1]."""
    return torch.arange(0, 32, bits, dtype=torch.int32, device=device)[:, None]
