"""The bridge to transformers: one attention function, registered through its public interface.

transformers rotates queries and keys inside the model, in float32. Position ids of zero make that rotation
the identity, so the caches here (`parallel.ChunkStream`, `ring.RingStream`) see unrotated keys and
rotate them from float64 angles. No model code is patched.
"""

from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "sinkbench"


def attend(module, query: Tensor, key: Tensor, value: Tensor, mask, scaling: float, *, stream, **_):
    """transformers' attention signature; `stream` is the cache, which knows its angles and masks."""
    output = stream.attend(query, key, value, scaling)
    return output.transpose(1, 2), None


AttentionInterface.register(NAME, attend)


@contextmanager
def streaming_attention(model):
    """Within the block the model attends through its stream; afterwards as it did before."""
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def forward_hidden(model, token_ids: Tensor, stream) -> Tensor:
    """Last hidden states [batch, tokens, hidden] of token ids [batch, tokens] through `stream`."""
    return model.gpt_neox(
        input_ids=token_ids,
        position_ids=torch.zeros_like(token_ids),
        past_key_values=stream,
        use_cache=True,
        stream=stream,
    ).last_hidden_state
