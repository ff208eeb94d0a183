"""Refresh by repetition: what followed earlier occurrences of the last few tokens is made resident again.

Like `select`, but without attention: token ids alone say where the text repeats itself. A refresh falls
before the token at r = R, 2R, ... (past the budget). It finds every place of the store at which at least
`min_match` tokens end as the text ends at one of its last `match_ends` tokens. The `copied_span` tokens after
such a place score the length of that match. The k of r - H .. r - w - 1 with the highest scores become
resident, the latest first among equals. So where nothing repeats, the cache is the window of streaming. All
layers and heads share the choice. It is what induction heads look for (Olsson et al. 2022), and how prompt
lookup finds drafts for speculative decoding (Saxena 2023).
"""

from dataclasses import dataclass

from sinkbench.errors import UserError
from sinkbench.policies import require_at_least
from sinkbench.policies._refreshed import RefreshedPolicy, RefreshTraffic

LONGEST = 6  # tokens of a match beyond which it is worth no more


@dataclass(frozen=True)
class Policy(RefreshedPolicy):
    """A step reads the budget's keys, chosen ones included; the store of H is memory (store_bytes).

    Args:
        selected_tokens: k, of the budget.
        min_match: tokens that must repeat.
        copied_span: tokens after a repetition that are chosen.
        match_ends: last tokens at which a repetition may end.
    """

    selected_tokens: int
    min_match: int = 1
    copied_span: int = 8
    match_ends: int = 1

    cache = "refreshed"
    query_window = 0  # keys of the past, but no queries

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, selected_tokens=0, min_match=1, copied_span=1, match_ends=1)
        self.recent_count(self.selected_tokens)
        if self.min_match > LONGEST:
            raise UserError(f"options.min_match: {self.min_match} is more than {LONGEST}")

    @property
    def label(self) -> str:
        return f"{self.split(self.selected_tokens)}-m{self.min_match}-s{self.copied_span}-b{self.match_ends}"

    def select_resident(self, store) -> dict:
        """The recent keys, and the candidates that followed earlier repetitions, latest first."""
        recent = self.recent_count(self.selected_tokens)
        scores = self._scores(store.ids[self.sinks :])
        candidates = scores[: len(scores) - recent].argsort(stable=True)[
            len(scores) - recent - self.selected_tokens :
        ]
        return {
            layer: store.gather(layer, store.with_recent(layer, recent, candidates.expand(len(keys), -1)))
            for layer, keys in store.keys.items()
        }

    def refresh_traffic(self, position: int) -> RefreshTraffic:
        """The chosen tokens: ids alone choose them."""
        return RefreshTraffic(keys=self.selected_tokens, values=self.selected_tokens)

    def _scores(self, ids):
        """Longest match, in tokens, that ends among the `copied_span` tokens before each of `ids`."""
        padded = ids.new_full((len(ids) + self.copied_span,), 0)
        for back in range(self.match_ends):
            run = match_lengths(ids, back)
            padded[self.copied_span :] = padded[self.copied_span :].maximum(run * (run >= self.min_match))
        return padded.unfold(0, self.copied_span, 1).amax(-1)[:-1]


def match_lengths(ids, back: int):
    """How many tokens, up to LONGEST, end alike at each of `ids` [tokens] and at the last but `back`."""
    last = len(ids) - 1 - back
    length, alike = ids.new_zeros(len(ids)), None
    for step in range(min(LONGEST, last)):
        same = ids.new_zeros(len(ids))
        same[step:last] = ids[: last - step] == ids[last - step]
        alike = same if alike is None else alike * same
        length += alike
    return length
