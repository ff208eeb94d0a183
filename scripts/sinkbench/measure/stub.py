"""The decode step with its attention stubbed: what the rest of a step takes, the waiting for it included.

Attention is what lies between the projections: rotation, cache, scores and weighted values. A stub launches
none of it and passes a part of the projections' outputs on. What a step computes is then meaningless, but all
other launches are made, in the same shapes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from sinkbench.model import forward


@contextmanager
def without_attention(model) -> Iterator[None]:
    """Stub the attention of `model`, in the project's forward pass and in transformers' own.

    A cache is not written meanwhile: steps may follow steps, but whoever decodes on must prefill first.
    """
    attentions = [layer.attention for layer in model.gpt_neox.layers]
    forward.attention_is_stubbed = True
    for attention in attentions:
        attention.forward = _stub_of(attention)
    try:
        yield
    finally:
        forward.attention_is_stubbed = False
        for attention in attentions:
            del attention.forward  # the class's own is there again


def _stub_of(attention) -> Callable:
    """In the place of transformers' GPTNeoXAttention.forward: both projections, and nothing between."""

    def forward_without(hidden: Tensor, *_, **__) -> tuple[Tensor, None]:
        fused = attention.query_key_value(hidden)
        return attention.dense(forward.stubbed_heads(fused, hidden.shape[-1])), None

    return forward_without
