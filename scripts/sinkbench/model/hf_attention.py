"""The bridge to transformers: one attention function, registered through its public interface.

transformers rotates queries and keys inside the model, in float32. Position ids of zero make that rotation
the identity, so that a cache (`ring.RingStream`, `engines.paper`) sees unrotated keys and rotates them
from float64 angles. No model code is patched.
"""

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "sinkbench"
STOCK = "sdpa"  # what transformers chooses for GPT-NeoX by itself


def attend(module, query: Tensor, key: Tensor, value: Tensor, mask, scaling: float, *, stream, **_):
    """Attend by transformers' signature; `stream` is the cache, which knows its angles and masks."""
    output = stream.attend(query, key, value, scaling)
    return output.transpose(1, 2), None


AttentionInterface.register(NAME, attend)


def use_attention(model, name: str) -> None:
    """Make `model` attend with `name`; a change costs milliseconds."""
    if model.config._attn_implementation != name:
        model.set_attn_implementation(name)


def stock_hidden(model, ids: Tensor, cache=None, attention: str = STOCK) -> Tensor:
    """Last hidden states [batch, tokens, hidden] of ids [batch, tokens] as transformers computes them."""
    use_attention(model, attention)
    output = model.gpt_neox(input_ids=ids, past_key_values=cache, use_cache=cache is not None)
    return output.last_hidden_state


def decode_hidden(model, token_ids: Tensor, stream) -> Tensor:
    """Last hidden states [1, tokens, hidden] of ids [1, tokens] through the cache `stream`."""
    use_attention(model, NAME)
    return model.gpt_neox(
        input_ids=token_ids,
        position_ids=torch.zeros_like(token_ids),
        past_key_values=stream,
        use_cache=True,
        stream=stream,
    ).last_hidden_state
