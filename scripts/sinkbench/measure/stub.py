"""The decode step with its attention stubbed: what the rest of a step takes, the waiting for it included.

Attention is what lies between the projections: rotation, cache, scores and weighted values. A stub launches
none of it and passes a part of the projections' outputs on. What a step computes is then meaningless, but all
other launches are made, in the same shapes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from sinkbench.model import forward
from sinkbench.model.families import Family, family_of


@contextmanager
def without_attention(model) -> Iterator[None]:
    """Stub the attention of `model`, in the project's forward pass and in transformers' own.

    A cache is not written meanwhile: steps may follow steps, but whoever decodes on must prefill first.
    """
    family = family_of(model)
    attentions = [getattr(layer, family.attention) for layer in family.parts(model).layers]
    forward.attention_is_stubbed = True
    for attention in attentions:
        attention.forward = _stub_of(family, attention)
    try:
        yield
    finally:
        forward.attention_is_stubbed = False
        for attention in attentions:
            del attention.forward  # the class's own is there again


def _stub_of(family: Family, attention) -> Callable:
    """In the place of a forward of transformers' attention: its projections, and nothing between."""
    project_out = getattr(attention, family.out)

    def forward_without(hidden_states: Tensor, *_, **__) -> tuple[Tensor, None]:
        return project_out(family.unattended(attention, hidden_states)), None

    return forward_without
