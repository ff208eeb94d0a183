"""Refresh by selection: a store of the last H keys, of which every R tokens some are made resident again.

Of the W = budget - sinks resident keys that are no sinks, `chosen` (k) are selected from the store and the
rest (w = W - k) are recent. Before the token at r = R, 2R, ... (past the budget) each head takes the k keys
of r - H .. r - w - 1 that the last `observed` queries attended to most: the mean of their softmax over sinks
and store, averaged over `pool` neighbours (as SnapKV does once, after the prompt: Li et al. 2024, section
4.1). With `shared` all heads of a layer take the same, by their mean weight. A key keeps the distance that it
has in the text, so H belongs within the trained length. Until the next refresh each new token takes the place
of the oldest recent key, and after w tokens of the oldest chosen ones: with R past the text's end, or
k = 0, it is streaming. Of an evicted key nothing is lost but for R tokens, unlike in H2O (Zhang et al. 2023)
and TOVA (Oren et al. 2024), which choose what to drop for good; RefreshKV (Xu et al. 2025) refreshes a small
cache from a full one by a step of full attention.
"""

from dataclasses import dataclass

from sinkbench.errors import UserError
from sinkbench.policies import require_at_least
from sinkbench.policies._refreshed import Reads, RefreshedPolicy


@dataclass(frozen=True)
class Policy(RefreshedPolicy):
    """A step reads the budget's keys, chosen ones included; the store of H is memory (store_bytes).

    Args:
        chosen: k, of the budget.
        observed: queries whose attention chooses.
        pool: neighbours over which attention is averaged; odd.
        shared: whether the heads of a layer share one choice.
    """

    chosen: int
    observed: int = 1
    pool: int = 7
    shared: bool = False

    cache = "observed"

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, chosen=0, observed=1, pool=1)
        if self.pool % 2 == 0:
            raise UserError(f"with.pool: {self.pool} is even; neighbours lie on both sides alike")
        if self.observed > self.near(self.chosen) + self.chosen:
            raise UserError(f"with.observed: {self.observed} is more than the cache's recent tokens")

    @property
    def label(self) -> str:
        choice = f"q{self.observed}-p{self.pool}" + ("-shared" if self.shared else "")
        return f"{self.split(self.chosen)}-{choice}"

    def resident(self, past) -> dict:
        """The recent keys, and those of the store that the last queries ask for."""
        return {layer: past.gather(layer, self._index(past, layer)) for layer in past.keys}

    def reads(self, position: int) -> Reads:
        """Every key of the store, and the values of the chosen."""
        return Reads(keys=self.stored(position), values=self.chosen)

    def _index(self, past, layer: int):
        """Of the layer's kept tokens the recent ones, then the chosen [heads, W]."""
        weights = past.attention(layer, self.pool)
        near = self.near(self.chosen)
        far = weights[:, : weights.shape[1] - near]
        if self.shared:
            layers = far.unflatten(0, (-1, past.heads))
            far = layers.mean(1, keepdim=True).expand_as(layers).flatten(0, 1)
        return past.recent_and(layer, near, far.topk(self.chosen, -1).indices)
