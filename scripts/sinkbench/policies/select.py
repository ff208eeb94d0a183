"""Refresh by selection: a store of the last H keys, of which every R tokens some are made resident again.

Of the W = budget - sinks resident keys that are no sinks, `selected_tokens` (k) come from the store and the
rest (w = W - k) are recent. Before the token at r = R, 2R, ... (past the budget) each head takes k keys of
r - H .. r - w - 1: those that the last `query_window` queries attended to most. Attention here is the mean
of their softmax over sinks and store, averaged over `pool_kernel` neighbours (SnapKV does so once, after the
prompt: Li et al. 2024, section 4.1). With `shared` all heads of a layer take the same, by their mean weight.
A key keeps the distance that it has in the text, so H belongs within the trained length. Until the next
refresh each new token takes the place of the oldest recent key, and after w tokens of the oldest chosen
ones. With R past the text's end, or k = 0, it is streaming. An evicted key comes back after R tokens, unlike
in H2O (Zhang et al. 2023) and TOVA (Oren et al. 2024), which drop for good. RefreshKV (Xu et al. 2025)
refreshes a small cache from a full one by a step of full attention.
"""

from dataclasses import dataclass

from sinkbench.errors import UserError
from sinkbench.policies import require_at_least
from sinkbench.policies._refreshed import RefreshedPolicy, RefreshTraffic


@dataclass(frozen=True)
class Policy(RefreshedPolicy):
    """A step reads the budget's keys, chosen ones included; the store of H is memory (store_bytes).

    Args:
        selected_tokens: k, of the budget.
        query_window: queries whose attention chooses.
        pool_kernel: neighbours over which attention is averaged; odd.
        shared: whether the heads of a layer share one choice.
    """

    selected_tokens: int
    query_window: int = 1
    pool_kernel: int = 7
    shared: bool = False

    cache = "refreshed_with_queries"

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, selected_tokens=0, query_window=1, pool_kernel=1)
        if self.pool_kernel % 2 == 0:
            raise UserError(
                f"options.pool_kernel: {self.pool_kernel} is even; neighbours lie on both sides alike"
            )
        if self.query_window > self.recent_count(self.selected_tokens) + self.selected_tokens:
            raise UserError(
                f"options.query_window: {self.query_window} is more than the cache's recent tokens"
            )

    @property
    def label(self) -> str:
        choice = f"q{self.query_window}-p{self.pool_kernel}" + ("-shared" if self.shared else "")
        return f"{self.split(self.selected_tokens)}-{choice}"

    def select_resident(self, store) -> dict:
        """The recent keys, and those of the store that the last queries ask for."""
        return {layer: store.gather(layer, self._index(store, layer)) for layer in store.keys}

    def refresh_traffic(self, position: int) -> RefreshTraffic:
        """Every key of the store, and the values of the chosen."""
        return RefreshTraffic(keys=self.stored(position), values=self.selected_tokens)

    def _index(self, store, layer: int):
        """Of the layer's kept tokens the recent ones, then the chosen [heads, W]."""
        weights = store.attention(layer, self.pool_kernel)
        recent = self.recent_count(self.selected_tokens)
        candidates = weights[:, : weights.shape[1] - recent]
        if self.shared:
            layers = candidates.unflatten(0, (-1, store.heads))
            candidates = layers.mean(1, keepdim=True).expand_as(layers).flatten(0, 1)
        return store.with_recent(layer, recent, candidates.topk(self.selected_tokens, -1).indices)
