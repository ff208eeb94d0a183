"""Attention kernels for a chunk of queries over masked keys: one per device kind.

Query heads may share key heads. A kernel takes a visibility rule as a function `sees(query_slot, key_slot)`
of integer tensors. The rule is written once (`chunked.ChunkStream`), and each kernel turns the rule into its
own kind of mask.
"""

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sinkbench.runtime.torch_compile import compiled


class MaskedKernel:
    """torch's scaled dot-product attention with a boolean mask; any device, any length."""

    fixed_shapes = False

    @staticmethod
    def prepare(function):
        """`function` as this kernel's callers should run it: as it is."""
        return function

    def mask(self, sees, queries: int, keys: int, device: torch.device):
        """Boolean [queries, keys]: True where the query sees the key."""
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

    def mask(self, sees, queries: int, keys: int, device: torch.device):
        """Block mask over [queries, keys]."""

        def rule(batch, head, query_slot, key_slot):
            return sees(query_slot, key_slot)

        return create_block_mask(rule, None, None, queries, keys, device=device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask, scale: float) -> Tensor:
        """Attention output [batch, heads, queries, value_dim]."""
        shared = query.shape[1] > key.shape[1]
        return compiled(flex_attention)(query, key, value, block_mask=mask, scale=scale, enable_gqa=shared)


def kernel_for(model) -> MaskedKernel | FlexKernel:
    """Choose the fast kernel for passes of a model on its device.

    Layers whose weights are a library's own kind of tensor run as they are: torch.compile gives TorchAO's
    int8 a kernel meant for a few tokens, which took two minutes to read a prompt in place of half a second.
    """
    if model.device.type != "cuda":
        return MaskedKernel()
    return FlexKernel(fuses=not any(map(is_traceable_wrapper_subclass, model.parameters())))
