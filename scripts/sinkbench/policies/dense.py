"""Plain causal attention: every key is kept, so memory grows with the text."""

from dataclasses import dataclass

from sinkbench.errors import UserError, shown
from sinkbench.policies import Visibility


@dataclass(frozen=True)
class Policy:
    """max_tokens caps how much of each document is scored, since time and memory grow with it."""

    max_tokens: int

    label = ""
    cache = "growing"
    period = 1

    def __post_init__(self):
        if not isinstance(self.max_tokens, int) or self.max_tokens < 2:
            given = shown(self.max_tokens)
            raise UserError(f"options.max_tokens: {given} is not a whole number of at least 2")

    def visibility(self, length: int) -> Visibility:
        return Visibility(sinks=0, recent=length)

    def positions(self, length: int) -> range:
        return range(min(length, self.max_tokens) - 1)

    def nll_at(self, evaluator, document, positions):
        return evaluator.dense(document[: max(positions) + 2])[list(positions)]

    def timed_at(self, speed: dict) -> tuple[str, list[int]]:
        return "context", speed["contexts"]
