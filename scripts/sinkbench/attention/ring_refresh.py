"""Refreshes of a ring between an engine's steps: read the ring, choose, and rewrite the ring in place.

The hook of an engine is one line, `refresh.before(tokens)` ahead of each step. It does nothing between two
refreshes, moves no buffer and no position, and so leaves a captured graph or a compiled step valid. That is
all that the cache form `refreshed` asks of an engine; `observed` also asks of each step to write its query to
`RingBuffers.queries`.
"""

import torch
from torch import Tensor

from sinkbench.attention.chunked import widen_queries, widen_recent, widen_sinks
from sinkbench.attention.refresh_store import RefreshStore
from sinkbench.attention.ring import RingBuffers
from sinkbench.model.rope import rotate_head
from sinkbench.policies import REFRESHED


def prefill_ring(
    evaluator, policy, prompt: Tensor, buffers: RingBuffers, row: int = 0
) -> "tuple[Tensor, RingRefresh | None]":
    """Read `prompt` [T] into a row of `buffers`; returns the last hidden state [1, hidden] and the refreshes.

    A stream whose cache is refreshed is alone in them.
    """
    if policy.cache in REFRESHED:
        chunks, hidden = evaluator.prefill_refreshed(prompt, policy)
        refresh = RingRefresh(chunks.store, buffers)
    else:
        chunks, hidden = evaluator.prefill(prompt, buffers.visibility)
        refresh = None
    buffers.load(chunks, row)
    return hidden, refresh


def kept_queries(policy) -> int:
    """Queries that a ring keeps for the policy's refreshes."""
    return policy.query_window if policy.cache == "refreshed_with_queries" else 0


class RingRefresh:
    """One stream's refreshes.

    Args:
        store: of the stream after the prompt (evaluator.Evaluator.prefill_refreshed).
        buffers: the ring that took over from it.
    """

    def __init__(self, store: RefreshStore, buffers: RingBuffers):
        self.store, self.policy, self.buffers = store, store.policy, buffers
        self.unread: list[Tensor] = []  # ids that the store has not taken; their keys are in the ring
        store.stack_layers()

    def before(self, tokens: Tensor) -> None:
        """Refresh the ring if a refresh falls before the step that reads `tokens` [1]."""
        due = self.policy.is_due(self.buffers.position + 1)
        if due or len(self.unread) > self.buffers.visibility.recent:  # the next token takes the oldest's slot
            self._catch_up()
        if due:
            self.store.sinks = {0: self._sinks()}
            renewed = self.policy.select_resident(self.store)
            pairs = zip(*(renewed[layer] for layer in sorted(renewed)), strict=True)
            self.buffers.rewrite(*map(_joined, pairs))
        self.unread.append(tokens)

    def nbytes(self) -> int:
        """Bytes of the store beside the ring."""
        return self.store.nbytes()

    def _catch_up(self) -> None:
        """Let the store take the unread tokens from the ring."""
        start = max(self.store.position, self.policy.sinks)
        if self.unread:
            self.store.advance(torch.cat(self.unread))
            self.unread = []
        if self.policy.query_window is not None and start < self.store.position:
            self._append(torch.arange(start, self.store.position, device=self.buffers.keys.device))

    def _append(self, tokens: Tensor) -> None:
        """Keys, values and queries of `tokens` past the sinks, in the form that the store keeps."""
        observed, slots = self.policy.query_window, self.buffers.slot(tokens)
        last = tokens[max(0, len(tokens) - observed) :]
        rings = self.buffers.queries, self.buffers.keys, self.buffers.values
        chosen = last % max(1, observed), slots, slots
        parts = (ring[:, 0].index_select(2, index) for ring, index in zip(rings, chosen, strict=True))
        queries, keys, values = (part.flatten(0, 1) for part in parts)
        own, capped = (self.buffers.rotary.at(index) for index in (last, last.clamp(max=self.policy.budget)))
        if self.policy.sinks:
            queries, keys = widen_queries(queries, own, capped), widen_recent(keys, self.buffers.rotary.dim)
        else:
            queries = rotate_head(queries, own)
        self.store.append(0, self.policy.sinks, queries, keys, values)

    def _sinks(self) -> Tensor:
        """The sinks' keys of all layers, widened; empty without sinks."""
        keys = self.buffers.own_sinks()[:, 0].flatten(0, 1)
        return widen_sinks(keys, self.buffers.rotary.dim) if self.policy.sinks else keys


def _joined(layers: tuple[Tensor, ...]) -> Tensor:
    """The heads of all layers [layers * heads, tokens, dim]; where they lie side by side already, no copy."""
    return layers[0] if len(layers) == 1 else torch.cat(layers)
