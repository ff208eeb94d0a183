"""Which keys a query may see: S attention sinks and W recent tokens (Xiao et al. 2024, StreamingLLM)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Visibility:
    """Query t sees keys {0 .. S-1} and {max(S, t-W) .. t}: budget + 1 keys once full, itself included.

    The distance to a recent key j is t - j; the distance to sink s is min(t, budget) - s, which stops
    growing: that is all that StreamingLLM's "positions inside the cache" mean, since RoPE only sees
    distances. Dense attention is sinks = 0 and recent at least the text's length.
    """

    sinks: int
    recent: int

    @property
    def budget(self) -> int:
        """Cached keys of a full cache, in tokens: sinks + recent."""
        return self.sinks + self.recent

    def keys_at(self, position: int) -> int:
        """Keys that the query at `position` sees, itself included."""
        return min(position, self.budget) + 1
