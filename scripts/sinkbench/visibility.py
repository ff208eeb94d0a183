"""Which keys a query may see: S attention sinks and W recent tokens (Xiao et al. 2024, StreamingLLM)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Visibility:
    """Query t sees keys {0 .. S-1} and {max(S, t-W) .. t}: budget + 1 keys once full, itself included.

    The distance to a recent key j is t - j; the distance to sink s is min(t, budget) - s, which stops
    growing: that is all that StreamingLLM's "positions inside the cache" mean, since RoPE only sees
    distances. Dense attention is sinks = 0 and recent at least the text's length.

    With every = R > 1 the cache is pruned to its budget before queries 0, R, 2R, ... only, and grows by a key
    a token in between: query t sees `growth(t)` more recent keys, and its distance to sink s is as large as
    the cache, min(t, budget + growth(t)) - s.
    """

    sinks: int
    recent: int
    every: int = 1

    @property
    def budget(self) -> int:
        """Cached keys of a full cache, in tokens: sinks + recent."""
        return self.sinks + self.recent

    @property
    def longest(self) -> int:
        """The most recent keys that a query sees, itself not included."""
        return self.recent + self.every - 1

    def growth(self, position):
        """Keys beyond the budget that a full cache holds at `position`, an integer or a tensor of them."""
        return position % self.every

    def keys_at(self, position: int) -> int:
        """Keys that the query at `position` sees, itself included."""
        return min(position, self.budget + self.growth(position)) + 1
