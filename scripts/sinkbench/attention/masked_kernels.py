"""Attention kernels for a chunk of queries over masked keys: one per device kind.

Query heads may share key heads. A kernel takes a visibility rule as a function `sees(query_slot, key_slot)`
of integer tensors. The rule is written once (`chunked.ChunkStream`), and each kernel turns the rule into its
own kind of mask.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, create_block_mask, flex_attention
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sinkbench.runtime.dtypes import at_least_float32
from sinkbench.runtime.torch_compile import compiled


class MaskedKernel:
    """torch's scaled dot-product attention with a boolean mask; any device, any length."""

    fixed_shapes = False

    @staticmethod
    def prepare(function):
        """`function` as this kernel's callers should run it: as it is."""
        return function

    def mask(self, sees, queries: int, keys: int, device: torch.device, apart: int = 0):
        """Boolean [queries, keys]: True where the query sees the key, which is all that `apart` asks too."""
        slots = torch.arange(queries, device=device)[:, None], torch.arange(keys, device=device)
        return sees(*slots)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask, scale: float) -> Tensor:
        """Attention output [batch, heads, queries, value_dim].

        Widened keys are longer than values; torch's fused kernels want one length, so values get zeros.
        """
        width = value.shape[-1]
        value = pad(value, (0, key.shape[-1] - width))
        shared = query.shape[1] > key.shape[1]
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scale, enable_gqa=shared
        )
        return attended[..., :width]


class FlexKernel:
    """Compiled flex attention: skips the blocks outside the band (CUDA). Shapes must stay fixed.

    Args:
        fuses: whether what is not attention is compiled too.
    """

    fixed_shapes = True

    def __init__(self, fuses: bool = True):
        self.fuses = fuses

    def prepare(self, function):
        """`function` compiled into one kernel, since elementwise passes over a chunk cost memory traffic."""
        return compiled(function) if self.fuses else function

    def mask(self, sees, queries: int, keys: int, device: torch.device, apart: int = 0):
        """Block mask over [queries, keys].

        Args:
            apart: leading keys that queries meet with the second half of a doubled head alone (attend_apart).
        """

        def rule(batch, head, query_slot, key_slot):
            return sees(query_slot, key_slot + apart)

        blocks = create_block_mask(rule, None, None, queries, keys - apart, device=device)
        if not apart:
            return blocks
        slots = torch.arange(queries, device=device)[:, None], torch.arange(apart, device=device)
        return ApartMask(sees(*slots), blocks)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask, scale: float) -> Tensor:
        """Attention output [batch, heads, queries, value_dim]."""
        if isinstance(mask, ApartMask):
            return compiled(attend_apart)(query, key, value, *mask, scale)
        shared = query.shape[1] > key.shape[1]
        return compiled(flex_attention)(query, key, value, block_mask=mask, scale=scale, enable_gqa=shared)


class ApartMask(NamedTuple):
    """Which of the leading keys a query sees, bool [queries, apart], and a block mask over the others."""

    leading: Tensor
    others: BlockMask


def attend_apart(
    query: Tensor, key: Tensor, value: Tensor, leading: Tensor, others: BlockMask, scale: float
) -> Tensor:
    """Attention over few leading keys and over the others, joined by their sums of exponentials.

    In a head that is doubled since all of it turns (see chunked), either half of a key is zero. Each part
    then needs one half, and flex attention none of the zeros. docs/families.md has what that gains and loses.

    Args:
        query, key: [batch, heads, tokens, 2 dim].
        value: [batch, kv_heads, tokens, dim].
    """
    dim, apart = value.shape[-1], leading.shape[-1]
    shared, kind = query.shape[1] > key.shape[1], at_least_float32(query.dtype)
    recent, aux = flex_attention(
        query[..., :dim], key[:, :, apart:, :dim], value[:, :, apart:], block_mask=others, scale=scale,
        enable_gqa=shared, return_aux=AuxRequest(lse=True),
    )  # fmt: skip
    # Sums and no matrix products, which are slow for so few keys: a compiler makes one pass of them.
    asking = (
        query[..., dim:].unflatten(1, (key.shape[1], -1)).to(kind)
    )  # [batch, kv_heads, group, tokens, dim]
    keys, values = (part[:, :, None, None, :apart].to(kind) for part in (key[..., dim:], value))
    scores = (asking[..., None, :] * keys).sum(-1).flatten(1, 2) * scale
    scores = scores.masked_fill(~leading, -torch.inf)
    total = torch.cat((scores, aux.lse[..., None].to(kind)), -1).logsumexp(-1, keepdim=True)
    weights = (scores - total).exp().unflatten(1, (key.shape[1], -1))
    sinks = (weights[..., None] * values).sum(-2).flatten(1, 2)
    return (sinks + (aux.lse[..., None] - total).exp() * recent).to(query.dtype)


def kernel_for(model) -> MaskedKernel | FlexKernel:
    """Choose the fast kernel for passes of a model on its device.

    Layers whose weights are a library's own kind of tensor run as they are: torch.compile gives TorchAO's
    int8 a kernel meant for a few tokens, which took two minutes to read a prompt in place of half a second.
    """
    if model.device.type != "cuda":
        return MaskedKernel()
    return FlexKernel(fuses=not any(map(is_traceable_wrapper_subclass, model.parameters())))
