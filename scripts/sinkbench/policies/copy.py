"""Refresh by repetition: what followed earlier occurrences of the last few tokens is made resident again.

As in `select`, but the choice needs no attention: token ids alone say where the text repeats itself. Before
the token at r = R, 2R, ... (past the budget) every place of the store is found where the `least` or more
tokens that end with one of the last `back` tokens stand already; the `span` tokens after it are worth the
length of that match, and the k of r - H .. r - w - 1 that are worth most become resident, the latest first
among equals. So where nothing repeats, the cache is the window of streaming: the gate is in the rule. All
layers and heads share the choice. It is what induction heads look for (Olsson et al. 2022), and how drafts
are looked up in the prompt for speculative decoding (Saxena 2023).
"""

from dataclasses import dataclass

from sinkbench.errors import UserError
from sinkbench.policies import require_at_least
from sinkbench.policies._refreshed import Reads, RefreshedPolicy

LONGEST = 6  # tokens of a match beyond which it is worth no more


@dataclass(frozen=True)
class Policy(RefreshedPolicy):
    """A step reads the budget's keys, chosen ones included; the store of H is memory (store_bytes).

    Args:
        chosen: k, of the budget.
        least: tokens that must repeat.
        span: tokens after a repetition that are chosen.
        back: last tokens at which a repetition may end.
    """

    chosen: int
    least: int = 1
    span: int = 8
    back: int = 1

    cache = "refreshed"
    observed = 0  # keys of the past, but no queries

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, chosen=0, least=1, span=1, back=1)
        self.near(self.chosen)
        if self.least > LONGEST:
            raise UserError(f"with.least: {self.least} is more than {LONGEST}")

    @property
    def label(self) -> str:
        return f"{self.split(self.chosen)}-m{self.least}-s{self.span}-b{self.back}"

    def resident(self, past) -> dict:
        """The recent keys, and the far ones that followed earlier repetitions, latest first."""
        near = self.near(self.chosen)
        worth = self._worth(past.ids[self.sinks :])
        far = worth[: len(worth) - near].argsort(stable=True)[len(worth) - near - self.chosen :]
        return {
            layer: past.gather(layer, past.recent_and(layer, near, far.expand(len(keys), -1)))
            for layer, keys in past.keys.items()
        }

    def reads(self, position: int) -> Reads:
        """The chosen tokens: ids alone choose them."""
        return Reads(keys=self.chosen, values=self.chosen)

    def _worth(self, ids):
        """Length of the longest match that ends among the `span` tokens before each of `ids` [tokens]."""
        padded = ids.new_full((len(ids) + self.span,), 0)
        for back in range(self.back):
            run = match_lengths(ids, back)
            padded[self.span :] = padded[self.span :].maximum(run * (run >= self.least))
        return padded.unfold(0, self.span, 1).amax(-1)[:-1]


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
