"""Lazy eviction: streaming that prunes its cache only every R tokens (no refresh; a control for them).

After each prune the cache holds the budget; until the next it grows by one key a token, to budget + R. A
public variant of StreamingLLM credits it for its speed-up, since an eviction by concatenation copies the
whole cache; a ring evicts for nothing. R = 1 is streaming.
"""

from dataclasses import dataclass

from sinkbench.policies import Visibility, require_at_least, streaming


@dataclass(frozen=True)
class Policy(streaming.Policy):
    """budget, sinks: what a prune leaves, as in streaming; prune_every: tokens from one prune to the next.

    A query sees (every - 1) / 2 keys more than the budget on average. Compare at equal resident tokens.
    """

    prune_every: int

    cache = "pruned"

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, prune_every=1)

    @property
    def period(self) -> int:
        return self.prune_every

    @property
    def label(self) -> str:
        return f"{super().label}-r{self.prune_every}"

    def visibility(self, length: int) -> Visibility:
        return Visibility(self.sinks, self.budget - self.sinks, self.prune_every)
