"""The ring's decode step with static shapes, for compilers and CUDA graphs.

Nothing about a token is decided on the host: its slot, mask and angles come from a position on the device,
which the step itself advances. Only whether the ring is full is a constant of the step, so that a stream
needs two variants: with a mask for the slots not yet used, and without.
"""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sinkbench.attention.ring import RingBuffers
from sinkbench.model.families import family_of
from sinkbench.model.forward import forward_hidden, grouped, ungrouped
from sinkbench.model.nll import logits
from sinkbench.model.rope import rotate_head
from sinkbench.policies import Visibility


class StaticRing:
    """One stream's ring and the inputs of its step, at addresses that do not change.

    Attributes:
        token: id that the next step reads, int64 [1].
        position: stream index of the last token read, int64 [1]: `buffers.position` on the device.
        layers: each layer's part of `buffers`: keys and values [kv_heads, budget + 1, head_dim], sink keys
            [kv_heads, sinks, head_dim], queries [heads, observed, head_dim].
        project: of the model's family.
    """

    def __init__(self, model, visibility: Visibility, observed: int = 0):
        self.model, self.visibility, self.observed = model, visibility, observed
        self.project = family_of(model).project
        self.buffers = RingBuffers(model, visibility, observed=observed)
        # Not two halves of one tensor: to torch only what is aligned to 16 bytes stays where it is (pin).
        self.token = torch.zeros(1, dtype=torch.int64, device=model.device)
        self.position = torch.zeros_like(self.token)
        # One tensor per layer: a compiler that saw the whole would have to prove that layers do not overlap.
        buffers = self.buffers
        rings = (buffers.keys, buffers.values, buffers.sink_keys, buffers.queries)
        self.layers = list(zip(*(ring[:, 0].unbind() for ring in rings), strict=True))

    def pin(self) -> None:
        """Tell torch.compile that nothing here moves: it records no CUDA graph that writes what may move."""
        for tensor in self.tensors():
            torch._dynamo.mark_static_address(tensor)

    def tensors(self) -> Iterator[Tensor]:
        """All that a step reads and writes beside the weights."""
        yield from (self.token, self.position, *chain.from_iterable(self.layers))

    def is_full(self) -> bool:
        """Whether the next token finds every slot in use."""
        return self.buffers.position + 1 >= self.visibility.budget


class Place(NamedTuple):
    """A token's place: what its step computes once for all layers."""

    slots: Tensor  # int64 [1 + sinks]: the token's own slot, then those of the sinks
    cos: Tensor  # [group + 1 + sinks, rotary_dim]: of a key head's queries, of the own key and of the sinks
    sin: Tensor
    is_sink: Tensor  # bool [sinks, 1]: the sink that the token is
    visible: Tensor  # bool [1, budget + 1]
    asked: Tensor | None  # int64 [1]: where the query is kept, if it is


def advance(ring: StaticRing) -> Place:
    """Step to the next position.

    Kept apart from `read_token`: a compiler would otherwise form the float64 angles again in every layer.
    """
    sinks, budget, t = ring.visibility.sinks, ring.visibility.budget, ring.position.add_(1)
    first, last = torch.arange(sinks, device=t.device), t.clamp(max=budget)
    slot = torch.where(t < sinks, t, sinks + (t - sinks) % (budget + 1 - sinks))
    own = t.expand(ring.buffers.shape.group + 1)
    cos, sin = ring.buffers.rotary.at(torch.cat((own, t - last + first)))
    visible = torch.arange(budget + 1, device=t.device) <= last
    asked = t % ring.observed if ring.observed else None
    return Place(torch.cat((slot, first)), cos, sin, (first == t)[:, None], visible[None], asked)


def read_token(ring: StaticRing, place: Place, full: bool) -> Tensor:
    """Read `ring.token` at `place`; float32 logits [1, vocabulary]. `full`: no slot needs hiding."""
    return logits(ring.model, forward_hidden(ring.model, ring.token, _Reading(ring, place, full)))


class _Reading(NamedTuple):
    """One token's way through the layers (see forward_hidden)."""

    ring: StaticRing
    place: Place
    full: bool

    def attend(self, index: int, layer, hidden: Tensor) -> Tensor:
        """Attended heads [heads, 1, head_dim] of the layer's input [1, hidden].

        A sink that is being read is written into its slot twice, with the same numbers.
        """
        place, (keys, values, sink_keys, queries) = self.place, self.ring.layers[index]
        query, key, value = self.ring.project(layer, hidden)
        if place.asked is not None:
            queries.index_copy_(1, place.asked, query)
        if not self.full:
            sink_keys.copy_(torch.where(place.is_sink, key, sink_keys))
        query = grouped(query, len(key))
        turned = rotate_head(torch.cat((query, key, sink_keys), dim=1), (place.cos, place.sin))
        query, new = turned.split((query.shape[1], len(place.slots)), dim=1)
        keys.index_copy_(1, place.slots, new)
        values.index_copy_(1, place.slots[:1], value)
        mask = None if self.full else place.visible
        attended = scaled_dot_product_attention(query[None], keys[None], values[None], attn_mask=mask)[0]
        return ungrouped(attended, 1)
