"""StreamingLLM: attention sinks and a sliding window (Xiao et al. 2024, section 3.2)."""

from dataclasses import dataclass

from sinkbench.policies import Visibility, require_budget


@dataclass(frozen=True)
class Policy:
    """budget counts cached tokens, of which the first `sinks` of the text are never evicted."""

    budget: int
    sinks: int

    cache = "ring"
    period = 1

    def __post_init__(self):
        require_budget(self.budget, self.sinks)

    @property
    def label(self) -> str:
        return f"{self.sinks}+{self.budget - self.sinks}"

    def visibility(self, length: int) -> Visibility:
        return Visibility(self.sinks, self.budget - self.sinks)

    def positions(self, length: int) -> range:
        return range(length - 1)

    def nll_at(self, evaluator, document, positions):
        return evaluator.stream(document[: max(positions) + 2], self.visibility(0))[list(positions)]

    def timed_at(self, speed: dict) -> tuple[str, list[int]]:
        return "position", speed["positions"]
