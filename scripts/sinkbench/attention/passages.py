"""Streams of one length side by side, of given queries, keys and values: a ring, and passages in chunks.

Attention treats every head alone. So the heads of all streams lie side by side, as if one stream had them:
query head b H + h reads key head b K + h // group, which is (b H + h) // group. Single tokens go through
`ring`, longer passages through `chunked`, which begins where the ring stands and fills the ring again.
"""

import torch
from torch import Tensor

from sinkbench.attention.chunked import ChunkStream, widen_recent, widen_sinks
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.attention.ring import RingBuffers, RingStream
from sinkbench.model.forward import grouped, ungrouped
from sinkbench.model.rope import rotate_head
from sinkbench.policies import Visibility

CHUNK_TOKENS = 1024  # of a passage that meet the cache at once


class GroupedKernel(MaskedKernel):
    """Query heads that share a key head are rows of it: torch's fast kernels take no groups with a mask."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask, scale: float) -> Tensor:
        """Attention output [1, heads, queries, value_dim] of one stream."""
        group = query.shape[1] // key.shape[1]
        rows = grouped(query[0], key.shape[1])[None]
        attended = super().__call__(rows, key, value, mask.repeat(group, 1), scale)
        return ungrouped(attended[0], query.shape[2])[None]


class JoinedBuffers(RingBuffers):
    """The rings of several streams as those of one, whose heads are the heads of all."""

    def __init__(self, model, visibility: Visibility, streams: int):
        super().__init__(model, visibility, batch=streams)
        heads, kv_heads = streams * self.shape.heads, streams * self.shape.kv_heads
        self.shape = self.shape._replace(heads=heads, kv_heads=kv_heads)
        self.keys, self.values, self.sink_keys, self.queries = (
            part.flatten(1, 2).unsqueeze(1) for part in (self.keys, self.values, self.sink_keys, self.queries)
        )


class Passages:
    """Reads one token or a longer passage of every stream at a time; call `begin` before the first layer.

    Memory is that of the rings, S + W + 1 slots a layer. While a passage is read, one layer's keys and values
    of S + W tokens and a chunk come on top.

    Args:
        model: has the config, dtype and device of a model; its modules are not asked.
        streams: texts of one length.
    """

    def __init__(self, model, visibility: Visibility, streams: int):
        self.model, self.visibility, self.streams = model, visibility, streams
        self.buffers = JoinedBuffers(model, visibility, streams)
        self.ring = RingStream(self.buffers, _given)
        self.position = 0  # stream index of the next token

    def begin(self, tokens: int) -> None:
        """Prepare for the next tokens."""
        self.start, self.position = self.position, self.position + tokens
        if tokens == 1:
            self.ring.begin()
            return
        self.chunks = ChunkStream(self.model, self.visibility, GroupedKernel())
        self.chunks.shape, self.chunks.project = self.buffers.shape, _given

    def attend(self, index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attended heads [streams * heads, tokens, head_dim] of a layer, whose keys and values are kept.

        Args:
            query: not rotated [streams * heads, tokens, head_dim].
            key, value: not rotated [streams * kv_heads, tokens, head_dim].
        """
        projected = query, key, value
        if query.shape[1] == 1:
            return self.ring.attend(index, None, projected)
        steps = self._steps(query.shape[1])
        parts = self._step_by_step(index, _tokens(projected, 0, steps))
        if steps < query.shape[1]:
            parts += self._in_chunks(index, self.start + steps, _tokens(projected, steps, None))
        if index == self.buffers.shape.layers - 1:
            del self.chunks
        return torch.cat(parts, 1)

    def nbytes(self) -> int:
        """Bytes held between two passages."""
        return self.buffers.nbytes()

    def _steps(self, tokens: int) -> int:
        """Tokens of a passage that are read one by one: a chunk needs all sinks, before it or in it."""
        missing = max(0, self.visibility.sinks - self.start)
        return 0 if self.start == 0 and tokens >= missing else min(tokens, missing)

    def _step_by_step(self, index: int, projected: tuple[Tensor, ...]) -> list[Tensor]:
        self.buffers.position = self.start - 1
        parts = []
        for token in range(projected[0].shape[1]):
            self.ring.begin()
            parts.append(self.ring.attend(index, None, _tokens(projected, token, token + 1)))
        return parts

    def _in_chunks(self, index: int, start: int, projected: tuple[Tensor, ...]) -> list[Tensor]:
        """Attended heads, one chunk after another; the ring is filled behind the last."""
        chunks, size = self.chunks, max(CHUNK_TOKENS, self.visibility.sinks)
        # Not rotated forth and back by the chunks: that would round them anew with every passage.
        sinks = self.buffers.sink_keys[index, 0] if start else projected[1][:, : self.visibility.sinks]
        chunks.position, parts = start, []
        if start:
            chunks.carried[index] = self._carried(index, start)
        for chunk in zip(*(part.split(size, 1) for part in projected), strict=True):
            chunks.begin(chunk[0].shape[1])
            parts.append(chunks.attend(index, None, chunk))
        sinks = sinks.clone()
        self.buffers.load(chunks)
        self.buffers.sink_keys[index, 0] = sinks
        del chunks.carried[index]
        return parts

    def _carried(self, index: int, start: int) -> tuple[Tensor, Tensor]:
        """Sinks and the W tokens before `start` as a chunk meets them; other slots are masked there."""
        buffers, sinks = self.buffers, self.visibility.sinks
        last = torch.arange(start - self.visibility.recent, start, device=buffers.keys.device)
        keys, values = (part[index, 0] for part in (buffers.keys, buffers.values))
        slots = buffers.slot(last)
        recent = keys[:, slots]
        values = torch.cat((values[:, :sinks], values[:, slots]), 1)
        if not sinks:
            return recent, values
        own = buffers.rotary.at(torch.arange(sinks, device=last.device))
        turned = widen_sinks(rotate_head(buffers.sink_keys[index, 0], own), buffers.rotary.dim)
        return torch.cat((turned, widen_recent(recent, buffers.rotary.dim)), 1), values


def _given(layer, projected: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """In the place of a family's projection, whose results are here already."""
    return projected


def _tokens(parts: tuple[Tensor, ...], start: int, stop: int | None) -> tuple[Tensor, ...]:
    return tuple(part[:, start:stop] for part in parts)
