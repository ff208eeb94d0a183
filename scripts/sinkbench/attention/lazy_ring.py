"""Lazy eviction one token at a time: the cache grows past its budget and is pruned every R tokens.

Keys lie in their order, so that those in use are always the leading ones: a prune moves the last W keys
behind the sinks. Rotation is the ring's: recent keys once, the sinks at every step.
"""

from sinkbench.attention.chunked import ChunkStream
from sinkbench.attention.ring import RingBuffers


class PrunedBuffers(RingBuffers):
    """Room for budget + every keys a layer; `cached` of them are in use between steps."""

    cached = 0

    def load(self, chunks: ChunkStream, row: int = 0) -> None:
        """Load what the next query sees from a parallel pass."""
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
