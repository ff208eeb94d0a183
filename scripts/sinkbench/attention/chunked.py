"""Streaming attention in parallel form: whole chunks of text in one causal pass, exactly.

A recent key must meet the query rotated at its own index t, a sink key the query rotated at
min(t, budget). Widening the rotary part of every head turns both into one ordinary attention call:

    query       [ rotated at t | rotated at min(t, budget) | unrotated rest ]
    recent key  [ rotated at j |             0             | unrotated rest ]
    sink key    [       0      |       rotated at s        | unrotated rest ]

(budget: what the cache holds, growth included). The mask is Visibility's rule and the scale stays that of the
unwidened head. Between chunks each layer carries the widened keys and values of the S sinks and the last W
tokens; memory is therefore bounded by budget tokens a layer, and budget + chunk tokens once, whatever the
text's length. A refresh (see `refresh`) rewrites what is carried.
"""

import torch
from torch import Tensor

from sinkbench.model.families import family_of, shape_of
from sinkbench.model.rope import Rotary, rotate, rotate_head
from sinkbench.policies import Visibility


class ChunkStream:
    """Carries sinks and recent keys from chunk to chunk; call `begin` before each chunk's forward pass.

    Args:
        model: for causal language modelling.
        visibility: who sees whom. Dense text of T tokens: Visibility(0, T).
        kernel: see `kernels`.
        store: what a refresh looks back on (refresh_store.RefreshStore), if anything does.
        skipped: tokens left out of the text between the sinks and the rest: recent keys are rotated at
            their true index, while masks and the distance to the sinks count only what is read.

    Slots of the key list: S sinks, then W carried tokens, then the chunk. Before W tokens have passed the
    leading carried slots are empty; the mask (or `_used_slots`) hides them.
    """

    def __init__(self, model, visibility: Visibility, kernel, store=None, skipped: int = 0):
        self.visibility, self.kernel, self.store, self.skipped = visibility, kernel, store, skipped
        self.held = visibility.sinks + visibility.longest
        self.rotary = Rotary(model)
        self.shape, self.dtype, self.project = shape_of(model), model.dtype, family_of(model).project
        self.carried: dict[int, tuple[Tensor, Tensor]] = {}
        self.position = 0  # stream index of the next token
        self._masks = {}

    def tokens_until_refresh(self, most: int) -> int:
        """Tokens, at most `most`, that the next chunk may hold."""
        return most if self.store is None else self.store.tokens_until_refresh(self, most)

    def begin(self, tokens: int, padding: int = 0) -> None:
        """Prepare tables, mask and room for a chunk of `tokens` real tokens and `padding` ones after them."""
        self.start, self.tokens = self.position, tokens
        self.position += tokens
        positions = self.start + torch.arange(tokens + padding, device=self.rotary.frequencies.device)
        self._own = self.rotary.at(positions + self.skipped * (positions >= self.visibility.sinks))
        cached = self.visibility.budget + self.visibility.growth(positions)
        self._capped = self.rotary.at(positions.minimum(cached))
        self._slots = self._used_slots(len(positions))
        self._mask = self._mask_for(len(positions))
        self._keys, self._values = self._room(self.held + len(positions))

    def attend(self, index: int, layer, hidden: Tensor) -> Tensor:
        """Compute the layer's heads [heads, tokens, head_dim] from its input [tokens, hidden]."""
        new = self._keys[:, self.held :], self._values[:, self.held :]
        widen = widen_heads if self.visibility.sinks else turn_heads
        widened = self.kernel.prepare(widen)
        query, first_keys = widened(self.project, layer, hidden, self._own, self._capped, *new)
        if index in self.carried:
            self._keys[:, : self.held], self._values[:, : self.held] = self.carried[index]
        else:
            self._fill_first(first_keys)
        if self.store is not None:
            self.store.append(index, self.start, *(part[:, : self.tokens] for part in (query, *new)))
        self.carried[index] = self._kept(self._keys), self._kept(self._values)
        keys, values = self._keys, self._values
        if self._slots is not None:
            keys, values = keys[:, self._slots], values[:, self._slots]
        scale = self.shape.head_dim**-0.5
        return self.kernel(query[None], keys[None], values[None], self._mask, scale)[0]

    def _room(self, slots: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one layer, reused by all: [kv_heads, slots, dim]."""
        head_dim = self.shape.head_dim
        key_dim = head_dim + (self.rotary.dim if self.visibility.sinks else 0)
        shapes = ((self.shape.kv_heads, slots, dim) for dim in (key_dim, head_dim))
        device = self.rotary.frequencies.device
        return tuple(torch.empty(shape, dtype=self.dtype, device=device) for shape in shapes)

    def _used_slots(self, queries: int) -> Tensor | None:
        """Indices of the slots that can be visible, or None for all of them."""
        sinks, recent = self.visibility.sinks, self.visibility.longest
        empty = recent - min(recent, max(0, self.start - sinks))
        if self.kernel.fixed_shapes or empty == 0:
            return None
        slots = torch.arange(sinks + recent + queries, device=self._own[0].device)
        return slots[(slots < sinks) | (slots >= sinks + empty)]

    def _mask_for(self, queries: int):
        """The chunk's mask; once the cache is full it depends on the position's phase between prunes only."""
        visibility, slots = self.visibility, self._slots
        sinks, longest = visibility.sinks, visibility.longest
        beyond = max(0, self.start - self.held)
        key = (queries, self.start - beyond + visibility.growth(beyond))
        if key not in self._masks:
            start = torch.tensor(key[1], device=self._own[0].device)

            # A mask may keep this function: were the stream in it, its keys would live until a collection.
            def sees(query_slot: Tensor, key_slot: Tensor) -> Tensor:
                slot = key_slot if slots is None else slots[key_slot]
                index, is_sink = start + query_slot, slot < sinks
                other = start - longest + slot - sinks
                recent = visibility.recent + visibility.growth(index)
                in_window = (other >= sinks) & (index - other <= recent) & (other <= index)
                return (is_sink & (slot <= index)) | (~is_sink & in_window)

            keys = self.held + queries if slots is None else len(slots)
            apart = sinks if self.rotary.dim == self.shape.head_dim else 0
            self._masks = {key: self.kernel.mask(sees, queries, keys, start.device, apart)}
        return self._masks[key]

    def _fill_first(self, first_keys: Tensor) -> None:
        """Before the first chunk: its own first tokens as sinks, and an empty window."""
        sinks, held = self.visibility.sinks, self.held
        self._keys[:, :held] = 0
        self._values[:, :held] = 0
        if sinks:
            table = tuple(part[:sinks] for part in self._own)
            self._keys[:, :sinks] = widen_sinks(rotate_head(first_keys[:, :sinks], table), self.rotary.dim)
            self._values[:, :sinks] = self._values[:, held : held + sinks]

    def _kept(self, slots: Tensor) -> Tensor:
        """The sinks and the last real tokens of [kv_heads, slots, dim], as many as a query may see."""
        sinks, recent = self.visibility.sinks, self.visibility.longest
        last = slots[:, sinks + self.tokens : sinks + self.tokens + recent]
        return torch.cat((slots[:, :sinks], last), 1)


def widen_heads(
    project, layer, hidden: Tensor, own, capped, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    """Fill `keys` and `values` with the chunk's; return its widened queries and its unrotated keys."""
    query, key, value = project(layer, hidden)
    dim = own[0].shape[-1]
    keys.copy_(widen_recent(rotate_head(key, own), dim))
    values.copy_(value)
    return widen_queries(query, own, capped), key


def turn_heads(
    project, layer, hidden: Tensor, own, capped, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    """Fill `keys` and `values` with the chunk's, without sinks: plain rotation, nothing to widen."""
    query, key, value = project(layer, hidden)
    keys.copy_(rotate_head(key, own))
    values.copy_(value)
    return rotate_head(query, own), key


def widen_queries(x: Tensor, own, capped) -> Tensor:
    """[rotated at t | rotated at min(t, budget) | rest]."""
    dim = own[0].shape[-1]
    return torch.cat((rotate(x[..., :dim], *own), rotate(x[..., :dim], *capped), x[..., dim:]), dim=-1)


def widen_recent(turned: Tensor, dim: int) -> Tensor:
    """[rotated at j | 0 | rest], of keys whose `dim` rotary dimensions are rotated already."""
    return torch.cat((turned[..., :dim], torch.zeros_like(turned[..., :dim]), turned[..., dim:]), dim=-1)


def widen_sinks(turned: Tensor, dim: int) -> Tensor:
    """[0 | rotated at s | rest], of keys whose `dim` rotary dimensions are rotated already."""
    return torch.cat((torch.zeros_like(turned[..., :dim]), turned), dim=-1)
