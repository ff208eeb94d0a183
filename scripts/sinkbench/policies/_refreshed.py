"""What the policies that refresh a streaming cache have in common (see `refresh`); free of torch."""

from dataclasses import dataclass
from typing import NamedTuple

from sinkbench.errors import UserError
from sinkbench.policies import require_at_least, streaming


class RefreshTraffic(NamedTuple):
    """What a refresh must read: keys and values of so many tokens of the store, and the weights so often."""

    keys: int = 0
    values: int = 0
    passes: int = 0


@dataclass(frozen=True)
class RefreshedPolicy(streaming.Policy):
    """A streaming cache that is refreshed every R = `refresh_every` tokens, looking H = `lookback` >= W back.

    A subclass is final and offers, beside what every policy does (policies), the `cache` form `refreshed`, or
    `query_window` if its refreshes ask for queries, and:

        observed        queries that are kept for a refresh beside the keys; None: not even keys
        select_resident(store)     by layer, keys and values [heads, W, dim] of the new ring
        refresh_traffic(position)  what a refresh before the token at `position` reads (RefreshTraffic)
    """

    refresh_every: int
    lookback: int

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, refresh_every=1, lookback=self.budget - self.sinks)

    @property
    def period(self) -> int:
        return self.refresh_every

    def next_refresh(self, position: int) -> int:
        """The first at or after `position`."""
        return -(-max(position, self.budget + 1) // self.refresh_every) * self.refresh_every

    def is_due(self, position: int) -> bool:
        """Whether a refresh falls before the token at `position`."""
        return position == self.next_refresh(position)

    def stored(self, position: int) -> int:
        """Tokens past the sinks that are looked back on from `position`."""
        return min(self.lookback, position - self.sinks)

    def nll_at(self, evaluator, document, positions):
        return evaluator.refreshed(document[: max(positions) + 2], self)[list(positions)]

    def recent_count(self, chosen: int) -> int:
        """Recent tokens beside `chosen` ones of the budget; UserError if none are left."""
        near = self.budget - self.sinks - chosen
        if near < 1:
            raise UserError(
                f"options.selected_tokens: {chosen} leaves nothing of the budget for recent tokens"
            )
        return near

    def split(self, chosen: int) -> str:
        """The label of a cache of sinks, recent and chosen tokens."""
        return f"{self.sinks}+{self.recent_count(chosen)}+{chosen}-r{self.refresh_every}-h{self.lookback}"
