"""What the policies that refresh a streaming cache have in common (see `refresh`); free of torch."""

from dataclasses import dataclass

from sinkbench.errors import UserError
from sinkbench.policies import require_at_least, streaming


@dataclass(frozen=True)
class RefreshedPolicy(streaming.Policy):
    """budget, sinks: as in streaming; every: R, tokens from one refresh to the next; lookback: H, at least W.

    A subclass is final and offers, beside what every policy does (policies), the `cache` form `refreshed`, or
    `observed` if its refreshes ask for queries, and:

        observed        queries that are kept for a refresh beside the keys; None: not even keys
        resident(past)  by layer, keys and values [heads, W, dim] of the new ring (refresh.Past)
    """

    every: int
    lookback: int

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, every=1, lookback=self.budget - self.sinks)

    @property
    def period(self) -> int:
        return self.every

    def nll_at(self, scorer, document, positions):
        return scorer.refreshed(document[: max(positions) + 2], self)[list(positions)]

    def near(self, chosen: int) -> int:
        """Recent tokens beside `chosen` ones of the budget; UserError if none are left."""
        near = self.budget - self.sinks - chosen
        if near < 1:
            raise UserError(f"with.chosen: {chosen} leaves nothing of the budget for recent tokens")
        return near

    def split(self, chosen: int) -> str:
        """The label of a cache of sinks, recent and chosen tokens."""
        return f"{self.sinks}+{self.near(chosen)}+{chosen}-r{self.every}-h{self.lookback}"
