"""Streaming attention one token at a time: a ring of sinks + recent + 1 slots.

A recent key is rotated once, at its true index t, and written to slot S + (t - S) mod (W + 1). Only the S
sink keys turn: at every step they are rotated by t - min(t, budget) beyond their own index, so that their
distance to the query stays min(t, budget) - s. Softmax does not care about the order of slots, and slots
fill in order, so no mask is ever needed: any stock attention kernel serves.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.cache_utils import Cache, DynamicLayer

from sinkbench.parallel import ChunkStream
from sinkbench.rope import Rotary, rotate, rotate_head
from sinkbench.visibility import Visibility


class RingStream(Cache):
    """The ring buffers of all layers, [layers, 1, heads, budget + 1, head_dim] for keys and for values."""

    def __init__(self, model, visibility: Visibility):
        super().__init__(layers=[DynamicLayer() for _ in model.gpt_neox.layers])
        config = model.config
        self.visibility = visibility
        self.rotary = Rotary(model)
        heads, head_dim = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, 1, heads, visibility.budget + 1, head_dim)
        self.keys = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self.values = torch.zeros_like(self.keys)
        self.sink_keys = self.keys[..., : visibility.sinks, :].clone()  # unrotated
        self.position = -1

    def begin(self) -> None:
        """Step to the next token: its slot, its rotation and the sinks' rotation."""
        self.position += 1
        sinks, budget = self.visibility.sinks, self.visibility.budget
        t, ring = self.position, budget + 1 - sinks
        self._slot = t if t < sinks else sinks + (t - sinks) % ring
        self._visible = min(t, budget) + 1
        turn = t - min(t, budget)
        positions = torch.tensor([t, t, *range(turn, turn + sinks)], device=self.keys.device)
        self._table = self.rotary.at(positions)

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_, **__):
        """Write one token's key and value [1, heads, 1, head_dim], not yet rotated; all visible ones."""
        self._layer = layer_idx
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        keys[:, :, self._slot] = key_states[:, :, 0]
        values[:, :, self._slot] = value_states[:, :, 0]
        if self._slot < self.visibility.sinks:
            self.sink_keys[layer_idx, :, :, self._slot] = key_states[:, :, 0]
        return keys[:, :, : self._visible], values[:, :, : self._visible]

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """Attention output [1, heads, 1, head_dim] of one unrotated query.

        Query, new key and sinks are rotated together: eager decoding is bound by the number of launches.
        """
        dim, new = self.rotary.dim, slice(self._slot, self._slot + 1)
        slots = self.keys[self._layer]
        parts = (query, slots[:, :, new], self.sink_keys[self._layer])
        turned = rotate(torch.cat([part[..., :dim] for part in parts], dim=2), *self._table)
        slots[:, :, : self.visibility.sinks, :dim] = turned[:, :, 2:]
        slots[:, :, new, :dim] = turned[:, :, 1:2]
        query = torch.cat((turned[:, :, :1], query[..., dim:]), dim=-1)
        return scaled_dot_product_attention(query, keys, values, scale=scaling)

    def nbytes(self) -> int:
        """Bytes of the cache: ring buffers and unrotated sink keys."""
        return self.keys.nbytes + self.values.nbytes + self.sink_keys.nbytes

    def load(self, chunks: ChunkStream) -> None:
        """Take over where a parallel pass stopped, with the keys that it carries."""
        self.position = chunks.position - 1
        for layer, (keys, values) in chunks.carried.items():
            self._load_layer(layer, keys, values)

    def _load_layer(self, layer: int, keys: Tensor, values: Tensor) -> None:
        sinks, recent = self.visibility.sinks, self.visibility.recent
        stored = range(max(sinks, self.position + 1 - recent), self.position + 1)
        slots = [sinks + (t - sinks) % (recent + 1) for t in stored]
        source = slice(sinks + recent - len(slots), sinks + recent)
        self.keys[layer, 0][:, slots] = self._narrow(keys[:, source], 0)
        self.values[layer, 0][:, slots] = values[:, source]
        if sinks:
            table = self.rotary.at(-torch.arange(sinks, device=keys.device))
            self.sink_keys[layer, 0] = rotate_head(self._narrow(keys[:, :sinks], 1), table)
            self.keys[layer, 0, :, :sinks] = self.sink_keys[layer, 0]
            self.values[layer, 0, :, :sinks] = values[:, :sinks]

    def _narrow(self, keys: Tensor, part: int) -> Tensor:
        """Drop the half of a widened key's rotary part that `part` does not name."""
        if not self.visibility.sinks:
            return keys
        dim = self.rotary.dim
        return torch.cat((keys[..., part * dim : (part + 1) * dim], keys[..., 2 * dim :]), dim=-1)
