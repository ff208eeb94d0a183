"""Refreshes between the steps of an engine that decodes a ring: read it, choose, write it again in place.

The hook of an engine is one line, `refresh.before(tokens)` ahead of each step. It does nothing between two
refreshes, moves no buffer and no position, and so leaves a captured graph or a compiled step valid. That is
all that the cache form `refreshed` asks of an engine; `observed` also asks of each step to write its query to
`RingBuffers.queries`.
"""

import torch
from torch import Tensor

from sinkbench.parallel import ChunkStream, widen_queries, widen_recent, widen_sinks
from sinkbench.ring import RingBuffers
from sinkbench.rope import rotate_head

FORMS = ("refreshed", "observed")


def take_over(scorer, policy, prompt: Tensor, buffers: RingBuffers) -> "tuple[Tensor, RingRefresh | None]":
    """Read `prompt` [T] into `buffers`: its last hidden state [1, hidden], and the refreshes to come."""
    if policy.cache in FORMS:
        chunks, hidden = scorer.prefill_refreshed(prompt, policy)
        refresh = RingRefresh(chunks, buffers)
    else:
        chunks, hidden = scorer.prefill(prompt, buffers.visibility)
        refresh = None
    buffers.load(chunks)
    return hidden, refresh


def observed_queries(policy) -> int:
    """Queries that a ring keeps for the policy's refreshes."""
    return policy.observed if policy.cache == "observed" else 0


class RingRefresh:
    """One stream's refreshes.

    Args:
        stream: the stream after the prompt, with its `past` (scorer.Scorer.prefill_refreshed).
        buffers: the ring that took over from it.
    """

    def __init__(self, stream: ChunkStream, buffers: RingBuffers):
        self.stream, self.past, self.buffers = stream, stream.past, buffers
        self.unread: list[Tensor] = []  # ids that the past has not absorbed; their keys are in the ring

    def before(self, tokens: Tensor) -> None:
        """Refresh the ring if one falls before the step that reads `tokens` [1]."""
        position = self.buffers.position + 1
        due = self.past.is_due(position)
        if due or len(self.unread) > self.buffers.visibility.recent:  # the next token takes the oldest's slot
            self._catch_up()
        if due:
            self.stream.position = position
            self.stream.carried = self._sinks()
            self.past.refresh(self.stream)
            self.buffers.load(self.stream)
        self.unread.append(tokens)

    def nbytes(self) -> int:
        """Bytes of the store beside the ring."""
        return self.past.nbytes()

    def _catch_up(self) -> None:
        """Let the past absorb the unread tokens from the ring."""
        start, policy = self.past.position, self.past.policy
        if self.unread:
            self.past.read(torch.cat(self.unread))
            self.unread = []
        tokens = torch.arange(max(start, policy.sinks), self.past.position, device=self.buffers.keys.device)
        if policy.observed is not None and len(tokens):
            self._absorb(tokens)

    def _absorb(self, tokens: Tensor) -> None:
        """Keys, values and queries of `tokens` past the sinks, in the form that the past keeps."""
        observed, slots = self.past.policy.observed, self.buffers.slot(tokens)
        last = tokens[max(0, len(tokens) - observed) :]
        asked = last % max(1, observed)
        tables = [self.buffers.rotary.at(index) for index in (last, last.clamp(max=self.past.policy.budget))]
        for layer in self.stream.carried:
            queries = self.buffers.queries[layer, 0][:, asked]
            keys, values = self.buffers.keys[layer, 0][:, slots], self.buffers.values[layer, 0][:, slots]
            if self.past.policy.sinks:
                queries, keys = widen_queries(queries, *tables), widen_recent(keys, self.buffers.rotary.dim)
            else:
                queries = rotate_head(queries, tables[0])
            self.past.absorb(layer, self.past.policy.sinks, queries, keys, values)

    def _sinks(self) -> dict[int, tuple[Tensor, Tensor]]:
        """By layer, the sinks' keys, widened, and values; empty without sinks."""
        sinks = self.past.policy.sinks
        if not sinks:
            return self.stream.carried
        table = self.buffers.rotary.at(torch.arange(sinks, device=self.buffers.keys.device))
        keys = widen_sinks(self.buffers.sink_keys[:, 0], table)
        values = self.buffers.values[:, 0, :, :sinks]
        return dict(enumerate(zip(keys, values, strict=True)))
