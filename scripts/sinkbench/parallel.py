"""Streaming attention in parallel form: whole chunks of text in one causal pass, exactly.

A recent key must meet the query rotated at its own index t, a sink key the query rotated at
min(t, budget). Widening the rotary part of every head turns both into one ordinary attention call:

    query       [ rotated at t | rotated at min(t, budget) | unrotated rest ]
    recent key  [ rotated at j |             0             | unrotated rest ]
    sink key    [       0      |       rotated at s        | unrotated rest ]

The mask is Visibility's rule and the scale stays that of the unwidened head. Between chunks each layer
carries the widened keys and values of the S sinks and the last W tokens; memory is therefore bounded by
budget + chunk tokens a layer, whatever the text's length.
"""

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from sinkbench.rope import Rotary, rotate, rotate_head
from sinkbench.visibility import Visibility


class ChunkStream(Cache):
    """Carries sinks and recent keys from chunk to chunk; call `begin` before each chunk's forward.

    Args:
        model: a GPT-NeoX for causal language modelling.
        visibility: who sees whom. Dense text of T tokens: Visibility(0, T).
        kernel: see `kernels`.

    Slots of the key list: S sinks, then W carried tokens, then the chunk. Before W tokens have passed the
    leading carried slots are empty; the mask (or `_used_slots`) hides them.
    """

    def __init__(self, model, visibility: Visibility, kernel):
        super().__init__(layers=[DynamicLayer() for _ in model.gpt_neox.layers])
        self.visibility, self.kernel = visibility, kernel
        self.rotary = Rotary(model.config, model.device)
        self.carried: dict[int, tuple[Tensor, Tensor]] = {}
        self.position = 0  # stream index of the next token
        self._masks = {}

    def begin(self, tokens: int, padding: int = 0) -> None:
        """Prepare tables and mask for a chunk of `tokens` real tokens and `padding` ones after them."""
        sinks, recent = self.visibility.sinks, self.visibility.recent
        self.start, self.tokens = self.position, tokens
        self.position += tokens
        positions = self.start + torch.arange(tokens + padding, device=self.rotary.frequencies.device)
        self._own = self.rotary.at(positions)
        self._capped = self.rotary.at(positions.clamp(max=self.visibility.budget))
        self._slots = self._used_slots(sinks, recent, len(positions))
        self._mask = self._mask_for(len(positions))

    def _used_slots(self, sinks: int, recent: int, queries: int) -> Tensor | None:
        """Indices of the slots that can be visible, or None for all of them."""
        empty = recent - min(recent, max(0, self.start - sinks))
        if self.kernel.fixed_shapes or empty == 0:
            return None
        slots = torch.arange(sinks + recent + queries, device=self._own[0].device)
        return slots[(slots < sinks) | (slots >= sinks + empty)]

    def _mask_for(self, queries: int):
        """The chunk's mask; once the cache is full it no longer depends on the position."""
        sinks, recent = self.visibility.sinks, self.visibility.recent
        key = (queries, min(self.start, sinks + recent))
        if key not in self._masks:
            start = torch.tensor(key[1], device=self._own[0].device)
            slots = self._slots

            def sees(query_slot: Tensor, key_slot: Tensor) -> Tensor:
                slot = key_slot if slots is None else slots[key_slot]
                index, is_sink = start + query_slot, slot < sinks
                other = start - recent + slot - sinks
                in_window = (other >= sinks) & (index - other <= recent) & (other <= index)
                return (is_sink & (slot <= index)) | (~is_sink & in_window)

            keys = sinks + recent + queries if slots is None else len(slots)
            self._masks = {key: self.kernel.mask(sees, queries, keys, start.device)}
        return self._masks[key]

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_, **__):
        """Widened keys and values [batch, heads, slots, dim] that the chunk's queries may see."""
        keys, values = self._with_carried(key_states, value_states, layer_idx)
        self.carried[layer_idx] = self._kept(keys), self._kept(values)
        if self._slots is not None:
            keys, values = keys[:, :, self._slots], values[:, :, self._slots]
        return keys, values

    def _with_carried(self, key_states: Tensor, value_states: Tensor, layer_idx: int):
        turn = widen_recent if self.visibility.sinks else rotate_head
        keys = self.kernel.prepare(turn)(key_states, self._own)
        if layer_idx not in self.carried:
            self.carried[layer_idx] = self._first_carried(key_states, keys, value_states)
        carried_keys, carried_values = self.carried[layer_idx]
        return torch.cat((carried_keys, keys), 2), torch.cat((carried_values, value_states), 2)

    def _kept(self, slots: Tensor) -> Tensor:
        """The sinks and the last W real tokens of [batch, heads, slots, dim]."""
        sinks, recent = self.visibility.sinks, self.visibility.recent
        last = slots[:, :, sinks + self.tokens : sinks + self.tokens + recent]
        return torch.cat((slots[:, :, :sinks], last), 2)

    def _first_carried(self, key_states: Tensor, keys: Tensor, values: Tensor):
        """Slots before the first chunk: its own first tokens as sinks, and an empty window."""
        sinks, recent = self.visibility.sinks, self.visibility.recent
        table = tuple(part[:sinks] for part in self._own)
        sink_keys = widen_sinks(key_states[:, :, :sinks], table) if sinks else keys[:, :, :0]
        empty = keys.new_zeros(*keys.shape[:2], recent, keys.shape[3])
        empty_values = values.new_zeros(*values.shape[:2], recent, values.shape[3])
        return torch.cat((sink_keys, empty), 2), torch.cat((values[:, :, :sinks], empty_values), 2)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """Attention output [batch, heads, tokens, head_dim] of unrotated queries."""
        if self.visibility.sinks:
            query = self.kernel.prepare(widen_query)(query, self._own, self._capped)
        else:
            query = self.kernel.prepare(rotate_head)(query, self._own)
        return self.kernel(query, keys, values, self._mask, scaling)


def widen_query(x: Tensor, own, capped) -> Tensor:
    """[rotated at t | rotated at min(t, budget) | rest]."""
    dim = own[0].shape[-1]
    turned = rotate(x[..., :dim], *own), rotate(x[..., :dim], *capped)
    return torch.cat((*turned, x[..., dim:]), dim=-1)


def widen_recent(x: Tensor, own) -> Tensor:
    """[rotated at j | 0 | rest]."""
    dim = own[0].shape[-1]
    turned = rotate(x[..., :dim], *own)
    return torch.cat((turned, torch.zeros_like(turned), x[..., dim:]), dim=-1)


def widen_sinks(x: Tensor, own) -> Tensor:
    """[0 | rotated at s | rest]."""
    dim = own[0].shape[-1]
    turned = rotate(x[..., :dim], *own)
    return torch.cat((torch.zeros_like(turned), turned, x[..., dim:]), dim=-1)
