"""Rotary position embedding with angles in float64.

A float32 angle is off by 1e-4 rad at position 20,000 and by 6e-2 rad at 1,000,000. Every angle is therefore
formed in float64, and only its cosine and sine are rounded (Su et al. 2021, RoFormer, section 3.2.2).
"""

import torch
from torch import Tensor

from sinkbench.model.families import family_of
from sinkbench.runtime.dtypes import at_least_float32


class Rotary:
    """Tables of cosines and sines at any stream position, for one model."""

    def __init__(self, model):
        frequencies = family_of(model).frequencies(vars(model.config))
        self.frequencies = torch.tensor(frequencies, dtype=torch.float64, device=model.device)
        self.dtype = at_least_float32(model.dtype)
        self.dim = 2 * len(self.frequencies)

    def at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine, each [..., rotary_dim], for integer `positions` [...]."""
        angles = positions[..., None].double() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(self.dtype), angles.sin().to(self.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x [..., tokens, rotary_dim] by tables [tokens, rotary_dim], in the tables' precision."""
    wide = x.to(cos.dtype)
    first, second = wide.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return torch.addcmul(wide * cos, turned, sin).to(x.dtype)


def rotate_head(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the leading rotary dimensions of whole heads x [..., tokens, head_dim]; the rest passes."""
    dim = table[0].shape[-1]
    return torch.cat((rotate(x[..., :dim], *table), x[..., dim:]), dim=-1)
