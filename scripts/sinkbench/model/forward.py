"""A model's forward pass around an attention that the caller supplies; no model code is patched.

The modules of the model are called as they are, whatever their weights' number format.
"""

from functools import partial

from torch import Tensor

from sinkbench.model.families import family_of

attention_is_stubbed = False  # see measure.stub; compilers guard what they read, so a change compiles anew


def forward_hidden(model, ids: Tensor, stream, prepare=lambda function: function) -> Tensor:
    """Last hidden states [tokens, hidden] of ids [tokens]; callers choose torch.inference_mode.

    Args:
        stream: `stream.attend(index, layer, hidden)` gives attended heads [heads, tokens, head_dim].
        prepare: turns a function into the form in which it shall run (see kernels).
    """
    family = family_of(model)
    parts, combine = family.parts(model), prepare(family.combine)
    attend = partial(_unattended, family) if attention_is_stubbed else stream.attend
    hidden = parts.embedding(ids)
    for index, layer in enumerate(parts.layers):
        hidden = combine(layer, hidden, attend(index, layer, hidden))
    return parts.norm(hidden)


def grouped(query: Tensor, kv_heads: int) -> Tensor:
    """Queries [heads, tokens, dim] as queries of their key heads [kv_heads, group * tokens, dim].

    Attention without a mask, or with one for every row, then reads each key once for its whole group.
    """
    return query.reshape(kv_heads, -1, query.shape[-1])


def ungrouped(attended: Tensor, tokens: int) -> Tensor:
    """What `grouped` took [heads, tokens, dim], of attended [kv_heads, group * tokens, dim]."""
    return attended.reshape(-1, tokens, attended.shape[-1])


def for_each_query_head(kept: Tensor, heads: int) -> Tensor:
    """Keys or values [kv_heads, tokens, dim] repeated for all heads of a group [heads, tokens, dim].

    A view where every query head has its own.
    """
    group = heads // len(kept)
    return kept[:, None].expand(-1, group, -1, -1).flatten(0, 1)


def _unattended(family, index: int, layer, hidden: Tensor) -> Tensor:
    """In the place of a stream's `attend`: the same projections, and no rotation, cache or attention.

    One head as wide as all: combine lays heads side by side.
    """
    return family.unattended(getattr(layer, family.attention), family.normed(layer, hidden))[None]
