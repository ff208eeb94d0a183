"""A ring that reads blocks of tokens and takes the last ones back, to verify drafts.

A ring of W + B recent slots holds, for a block of up to B tokens, what its first query and its last one see:
the key of token j lies in slot (j - S) mod (W + B) behind the sinks'. Taking tokens back is moving the
position. Up to B - 1 tokens beyond the position overwrote nothing that a later query sees. The tokens that
replace them write their slots again, and a mask for each query hides them until then. Each query meets the
sinks at its own distance min(t, budget) - s, and so has S slots of its own for sinks that are rotated for it.

Shapes are static and every place is computed from a position on the device, as in `static_ring`. So a block
can be read kernel by kernel, and a CUDA graph can capture it.
"""

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


class Blocks:
    """One stream's ring for blocks of up to `block` tokens.

    Attributes:
        position: stream index of the last token read and not taken back, int64 [1], on the device.
        layers: each layer's part of `buffers`: keys and values [kv_heads, slots, head_dim], sink keys
            [kv_heads, sinks, head_dim].
    """

    def __init__(self, model, visibility: Visibility, block: int):
        self.model, self.visibility, self.block = model, visibility, block
        self.buffers = RingBuffers(model, visibility, block=block)
        self.position = torch.full((1,), -1, device=model.device)
        rings = (self.buffers.keys, self.buffers.values, self.buffers.sink_keys)
        self.layers = list(zip(*(ring[:, 0].unbind() for ring in rings), strict=True))

    def read(self, tokens: Tensor) -> Tensor:
        """Read ids [rows]; float32 logits [rows, vocabulary]."""
        reading = _Reading(self, advance_block(self, len(tokens)))
        return logits(self.model, forward_hidden(self.model, tokens, reading))


class Place(NamedTuple):
    """Where the tokens of a block stand: what is computed once for all layers."""

    slots: Tensor  # int64 [rows + rows * sinks]: the tokens' own slots, then those of each one's sinks
    cos: Tensor  # [(group + 1) rows + rows * sinks, rotary_dim]: of queries, of their keys and their sinks
    sin: Tensor
    mask: Tensor  # [group * rows, slots], 0 or -inf, to be added to the scores


def advance_block(ring: Blocks, rows: int) -> Place:
    """Step over the next `rows` tokens, all of them past the sinks."""
    sinks, recent, block = ring.visibility.sinks, ring.visibility.recent, ring.block
    row, first = (torch.arange(count, device=ring.position.device) for count in (rows, sinks))
    t = ring.position + 1 + row
    ring.position.add_(rows)
    turns = t - t.clamp(max=ring.visibility.budget)
    group = ring.buffers.shape.group
    cos, sin = ring.buffers.rotary.at(torch.cat((t.repeat(group + 1), (turns[:, None] + first).flatten())))
    slots = torch.cat((ring.buffers.slot(t), torch.arange(rows * sinks, device=t.device)))
    owner = torch.arange(block * sinks, device=t.device) // max(1, sinks)
    newest, slot = t[-1], torch.arange(recent + block, device=t.device)
    held = newest - (newest - sinks - slot) % (recent + block)  # the token whose key a slot should hold
    seen = (held >= sinks) & (held <= t[:, None]) & (t[:, None] - held <= recent)
    hidden = ~torch.cat((owner == row[:, None], seen), dim=1)
    mask = torch.zeros(hidden.shape, dtype=ring.model.dtype, device=t.device)
    return Place(slots, cos, sin, mask.masked_fill_(hidden, -torch.inf).repeat(group, 1))


def attend_block(query: Tensor, key: Tensor, value: Tensor, rings: tuple, place: Place) -> Tensor:
    """Write a block's keys and values and attend: [heads, rows, head_dim], as is the query.

    Args:
        query, key: not rotated.
        key, value: [kv_heads, rows, head_dim].
        rings: one layer's part of Blocks.layers.
    """
    keys, values, sink_keys = rings
    rows = query.shape[1]
    parts = (grouped(query, len(key)), key, sink_keys.repeat(1, rows, 1))
    turned = rotate_head(torch.cat(parts, dim=1), (place.cos, place.sin))
    query, new = turned.split((parts[0].shape[1], len(place.slots)), dim=1)
    keys.index_copy_(1, place.slots, new)
    values.index_copy_(1, place.slots[:rows], value)
    attended = scaled_dot_product_attention(query[None], keys[None], values[None], attn_mask=place.mask)[0]
    return ungrouped(attended, rows)


class _Reading(NamedTuple):
    """One block's way through the layers (see forward_hidden)."""

    ring: Blocks
    place: Place

    def attend(self, index: int, layer, hidden: Tensor) -> Tensor:
        """Attended heads [heads, rows, head_dim] of the layer's input [rows, hidden]."""
        project = family_of(self.ring.model).project
        return attend_block(*project(layer, hidden), self.ring.layers[index], self.place)
