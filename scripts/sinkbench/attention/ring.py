"""Streaming attention one token at a time: a ring of sinks + recent + 1 slots.

A recent key is rotated once, at its true index t, and written to slot S + (t - S) mod (W + 1). Only the S
sink keys turn: at every step they are rotated by t - min(t, budget) beyond their own index, so that their
distance to the query stays min(t, budget) - s. Softmax does not care about the order of slots, and slots
fill in order, so no mask is ever needed: any stock attention kernel serves.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sinkbench.attention.chunked import ChunkStream
from sinkbench.model.families import shape_of
from sinkbench.model.forward import grouped, ungrouped
from sinkbench.model.rope import Rotary, rotate_head
from sinkbench.policies import Visibility

SLOT_MULTIPLE = 1024  # tokens


def ring_visibility(policy, length: int) -> Visibility:
    """Visibility in the ring of a stream of `length` tokens.

    A growing cache is a ring that never fills. Its slots are rounded up to a multiple of SLOT_MULTIPLE, since
    kernels are planned, compiled and captured anew for every size.
    """
    visibility = policy.visibility(length)
    if policy.cache != "growing":
        return visibility
    slots = -(-(visibility.budget + 1) // SLOT_MULTIPLE) * SLOT_MULTIPLE
    return replace(visibility, recent=slots - 1 - visibility.sinks)


class RingBuffers:
    """The rings of all layers and of `batch` streams that stand at the same position.

    Args:
        observed: the last queries that are kept for a refresh (see `refresh`); an engine that decodes
            refreshed caches writes that of token t, not rotated, to slot t mod observed.
        block: tokens that a step may read at once, and the last of which may be taken back (see
            `block_ring`): every one has slots of its own for the sinks, which it meets at its own distance.

    Attributes:
        keys, values: [layers, batch, kv_heads, slots, head_dim], slots = budget + 1 for blocks of one; keys
            as the last step rotated them.
        sink_keys: [layers, batch, kv_heads, sinks, head_dim], not rotated.
        queries: [layers, batch, heads, observed, head_dim].
        position: stream index of the last token read, -1 when there is none.
        shape: of the model.
    """

    def __init__(self, model, visibility: Visibility, batch: int = 1, observed: int = 0, block: int = 1):
        self.visibility, self.rotary, self.position = visibility, Rotary(model), -1
        self.block, self.shape = block, shape_of(model)
        layers, heads, kv_heads, head_dim = self.shape[:4]
        slots = self.sink_slots() + visibility.longest + block
        about = {"dtype": model.dtype, "device": model.device}
        self.keys = torch.zeros(layers, batch, kv_heads, slots, head_dim, **about)
        self.values = torch.zeros_like(self.keys)
        self.sink_keys = self.keys[..., : visibility.sinks, :].clone()
        self.queries = torch.zeros(layers, batch, heads, observed, head_dim, **about)

    def nbytes(self) -> int:
        """Bytes of keys, values, unrotated sink keys and kept queries."""
        return sum(part.nbytes for part in (self.keys, self.values, self.sink_keys, self.queries))

    def sink_slots(self) -> int:
        """Slots of the sinks: S for each token of a block."""
        return self.block * self.visibility.sinks

    def slot(self, position):
        """The slot of the token at `position` past the sinks, an integer or a tensor of them."""
        behind = position - self.visibility.sinks
        return self.sink_slots() + behind % (self.visibility.recent + self.block)

    def advance(self) -> int:
        """Step to the next token; its slot."""
        self.position += 1
        return self.position if self.position < self.visibility.sinks else self.slot(self.position)

    def load(self, chunks: ChunkStream, row: int = 0) -> None:
        """Load stream `row` from a stopped parallel pass; nothing that the row held before stays."""
        self.position = chunks.position - 1
        sinks = self.visibility.sinks
        first = sinks + chunks.position + 1 - self.visibility.keys_at(chunks.position)
        stored = torch.arange(first, max(first, chunks.position))
        slots = self.slot(stored).to(self.keys.device)
        turns = self.rotary.at(-torch.arange(sinks, device=self.keys.device))
        for layer, carried in chunks.carried.items():
            self._load_recent(layer, row, carried, slots)
            self._load_sinks(layer, row, carried, turns)

    def own_sinks(self) -> Tensor:
        """The sinks' keys rotated at their own index [layers, batch, heads, sinks, head_dim]."""
        sinks = torch.arange(self.visibility.sinks, device=self.keys.device)
        return rotate_head(self.sink_keys, self.rotary.at(sinks))

    def rewrite(self, keys: Tensor, values: Tensor) -> None:
        """Replace the keys and values of a full ring of one stream [layers * kv_heads, W, dim], oldest first.

        Args:
            keys: widened as in `chunked`, if there are sinks.
        """
        recent = torch.arange(self.visibility.recent, device=self.keys.device)
        slots = self.slot(self.position + 1 - self.visibility.recent + recent)
        for ring, part in ((self.keys, self._narrow(keys, 0)), (self.values, values)):
            ring[:, 0].index_copy_(2, slots, part.unflatten(0, ring.shape[:1] + ring.shape[2:3]))

    def _load_recent(self, layer: int, row: int, carried: tuple[Tensor, Tensor], slots: Tensor) -> None:
        """The last tokens into their slots, zeros elsewhere: what a mask hides must still be finite."""
        source = slice(carried[0].shape[1] - len(slots), None)
        recent = self._narrow(carried[0][:, source], 0), carried[1][:, source]
        for ring, part in zip((self.keys[layer, row], self.values[layer, row]), recent, strict=True):
            ring.zero_().index_copy_(1, slots, part)

    def _load_sinks(self, layer: int, row: int, carried: tuple[Tensor, Tensor], turns) -> None:
        """The sinks' keys, rotated back from their own index, and values."""
        keys, values = (part[:, : self.visibility.sinks] for part in carried)
        self.sink_keys[layer, row] = rotate_head(self._narrow(keys, 1), turns)
        slots = slice(self.sink_slots())
        times = self.sink_slots() // max(1, self.visibility.sinks)
        self.keys[layer, row, :, slots] = self.sink_keys[layer, row].repeat(1, times, 1)
        self.values[layer, row, :, slots] = values.repeat(1, times, 1)

    def _narrow(self, keys: Tensor, part: int) -> Tensor:
        """Drop the half of a widened key's rotary part that `part` does not name."""
        if not self.visibility.sinks:
            return keys
        dim = self.rotary.dim
        return torch.cat((keys[..., part * dim : (part + 1) * dim], keys[..., 2 * dim :]), dim=-1)


def leading_slots(query: Tensor, keys: Tensor, values: Tensor, visible: int) -> Tensor:
    """Attended values [1, kv_heads, group, head_dim] of the first `visible` slots; no kernel needs a mask."""
    return scaled_dot_product_attention(query, keys[:, :, :visible], values[:, :, :visible])


class RingStream:
    """One stream's ring, launched kernel by kernel (see forward.forward_hidden).

    Slot and rotation of each token are chosen on the host, which never waits for the device.

    Args:
        project: of the model's family.
        attention: attends one rotated query to the leading slots that are in use (see `leading_slots`).
    """

    def __init__(self, buffers: RingBuffers, project, attention=leading_slots):
        self.buffers, self.visibility, self.attention = buffers, buffers.visibility, attention
        self.project, self.group = project, buffers.shape.group

    def begin(self) -> None:
        """Step to the next token: its slot, its rotation and the sinks' rotation."""
        self._slot = self.buffers.advance()
        sinks, t, device = self.visibility.sinks, self.buffers.position, self.buffers.keys.device
        self._visible = self.visibility.keys_at(t)
        turn = t + 1 - self._visible
        # Made on the device: a copy of host numbers would wait for it.
        own = torch.full((self.group + 1,), t, device=device)
        turned = torch.arange(turn, turn + sinks, device=device)
        self._table = self.buffers.rotary.at(torch.cat((own, turned)))

    def attend(self, index: int, layer, hidden: Tensor) -> Tensor:
        """Attended heads [heads, 1, head_dim] of the layer's input [1, hidden], whose key is kept."""
        query, key, value = (part[None] for part in self.project(layer, hidden))
        if observed := self.buffers.queries.shape[3]:
            self.buffers.queries[index, :, :, self.buffers.position % observed] = query[:, :, 0]
        keys, values = self.buffers.keys[index], self.buffers.values[index]
        values[:, :, self._slot] = value[:, :, 0]
        if self._slot < self.visibility.sinks:
            self.buffers.sink_keys[index, :, :, self._slot] = key[:, :, 0]
        query = grouped(query[0], keys.shape[1])[None]
        query = self._rotated(query, key, keys, self.buffers.sink_keys[index])
        return ungrouped(self.attention(query, keys, values, self._visible)[0], 1)

    def _rotated(self, query: Tensor, key: Tensor, keys: Tensor, sink_keys: Tensor) -> Tensor:
        """The queries of each key head, rotated; the new key and the sinks are rotated into their slots.

        All are rotated together: eager decoding is bound by the number of launches.
        """
        sinks, group = self.visibility.sinks, self.group
        turned = rotate_head(torch.cat((query, key, sink_keys), dim=2), self._table)
        keys[:, :, :sinks] = turned[:, :, group + 1 :]
        keys[:, :, self._slot] = turned[:, :, group]
        return turned[:, :, :group]


class PrunedBuffers(RingBuffers):
    """The cache of lazy eviction: it grows past its budget and is pruned every R tokens.

    Keys lie in their order, so that those in use are always the leading ones. A prune moves the last W keys
    behind the sinks. Rotation is the ring's. There is room for budget + R keys a layer; `cached` of them are
    in use between steps.
    """

    cached = 0

    def load(self, chunks: ChunkStream, row: int = 0) -> None:
        """Take over what the next query sees."""
        self.cached = self.visibility.keys_at(chunks.position) - 1
        super().load(chunks, row)

    def slot(self, position):
        """Tokens past the sinks stand in their order: the last one read in slot `cached` - 1."""
        return position - self.position + self.cached - 1

    def advance(self) -> int:
        """Step to the next token, with a prune before it where one falls; its slot."""
        self.position += 1
        seen = self.visibility.keys_at(self.position) - 1
        if self.cached > seen:
            self._prune(seen)
        self.cached += 1
        return self.slot(self.position)

    def _prune(self, cached: int) -> None:
        """Move the last recent keys and values behind the sinks, so that `cached` stay in all."""
        sinks = self.visibility.sinks
        for part in (self.keys, self.values):
            part[..., sinks:cached, :] = part[..., sinks + self.cached - cached : self.cached, :].clone()
        self.cached = cached
