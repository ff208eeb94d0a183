"""GPT-NeoX's forward pass around an attention that the caller supplies; no model code is patched.

The modules of the model are called as they are, whatever their weights' number format.
"""

from torch import Tensor

attention_is_stubbed = False  # see measure.stub; compilers guard what they read, so a change compiles anew


def project(layer, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unrotated query, key and value, each [heads, tokens, head_dim], of hidden states [tokens, hidden]."""
    fused = layer.attention.query_key_value(layer.input_layernorm(hidden))
    heads = fused.view(len(hidden), -1, 3 * layer.attention.head_size)
    return heads.transpose(0, 1).chunk(3, dim=-1)


def combine(layer, hidden: Tensor, attended: Tensor) -> Tensor:
    """The layer's output [tokens, hidden] from its input and its heads' outputs [heads, tokens, head_dim]."""
    attention = layer.attention.dense(attended.transpose(0, 1).flatten(1))
    if layer.use_parallel_residual:
        return hidden + attention + layer.mlp(layer.post_attention_layernorm(hidden))
    middle = hidden + attention
    return middle + layer.mlp(layer.post_attention_layernorm(middle))


def stubbed_heads(fused: Tensor, hidden_size: int) -> Tensor:
    """What stands for attended heads [..., hidden] where attention is stubbed: a part of the projections.

    Args:
        fused: outputs of query_key_value [..., 3 * hidden]; of one token this is a view, with no launch.
    """
    return fused[..., :hidden_size].contiguous()


def forward_hidden(model, ids: Tensor, stream, prepare=lambda function: function) -> Tensor:
    """Last hidden states [tokens, hidden] of ids [tokens]; callers choose torch.inference_mode.

    Args:
        stream: `stream.attend(index, layer, hidden)` gives a layer's attended heads.
        prepare: turns a function into the form in which it shall run (see kernels).
    """
    attend = _attend_nothing if attention_is_stubbed else stream.attend
    hidden = model.gpt_neox.embed_in(ids)
    for index, layer in enumerate(model.gpt_neox.layers):
        hidden = prepare(combine)(layer, hidden, attend(index, layer, hidden))
    return model.gpt_neox.final_layer_norm(hidden)


def _attend_nothing(index: int, layer, hidden: Tensor) -> Tensor:
    """In the place of a stream's `attend`: the same projections, and no rotation, cache or attention."""
    fused = layer.attention.query_key_value(layer.input_layernorm(hidden))
    heads = stubbed_heads(fused, hidden.shape[-1]).unflatten(1, (-1, layer.attention.head_size))
    return heads.transpose(0, 1)
