"""Refresh by prefill: every R tokens the recent keys are computed again from a short text of their own.

Before the token at r = R, 2R, ... (past the budget) one causal pass reads the first S and the last H tokens,
r - H .. r - 1, as one text, and the cache keeps its sinks and the last W keys of it; then streaming goes on.
What it drops is what streaming's recent keys still know of tokens that have left the cache. H = W with R = 1
is recompute(S, W), and R past the text's end is streaming. Cost: a pass over S + H tokens every R steps.
"""

from dataclasses import dataclass

from sinkbench.policies._refreshed import RefreshedPolicy, RefreshTraffic


@dataclass(frozen=True)
class Policy(RefreshedPolicy):
    """The store between refreshes is token ids; a step reads the budget's keys."""

    cache = "refreshed"
    query_window = None  # no refresh asks for keys or queries of the past

    @property
    def label(self) -> str:
        return f"{super().label}-r{self.refresh_every}-h{self.lookback}"

    def select_resident(self, store) -> dict:
        """The recent keys, computed again from the tokens that are looked back on."""
        return store.forward_again()

    def refresh_traffic(self, position: int) -> RefreshTraffic:
        """The weights: the store is ids."""
        return RefreshTraffic(passes=1)
