"""Sliding window with re-computation: a fresh pass over sinks and window for every prediction.

The quality oracle of streaming (sinks > 0), and with sinks = 0 the paper's baseline of its 22.2x speed-up
(Xiao et al. 2024, section 4.5). It has no parallel form, so only sampled positions are scored.
"""

import random
from dataclasses import dataclass

from sinkbench.errors import UserError
from sinkbench.policies import Visibility, require_budget


@dataclass(frozen=True)
class Policy:
    """Scores `samples` positions a document, one at random in each of as many equal strata.

    Args:
        budget, sinks: as in streaming.
        samples: positions scored per document.
        first_position: smallest position scored; at least the largest budget to be compared.
        seed: of the draw, which depends on nothing else but the document's length.
    """

    budget: int
    sinks: int
    samples: int
    first_position: int
    seed: int = 0

    cache = "none"
    period = 1

    def __post_init__(self):
        require_budget(self.budget, self.sinks)
        if self.samples < 1:
            raise UserError(f"options.samples: {self.samples} is not at least 1")
        if self.first_position < self.budget:
            raise UserError(
                f"options.first_position: {self.first_position} must be at least the budget ({self.budget})"
            )

    @property
    def label(self) -> str:
        return f"{self.sinks}+{self.budget - self.sinks}"

    def visibility(self, length: int) -> Visibility:
        return Visibility(self.sinks, self.budget - self.sinks)

    def positions(self, length: int) -> list[int]:
        draw = random.Random(f"{self.seed}-{length}")
        scored = length - 1 - self.first_position
        count = max(0, min(self.samples, scored))
        return [self.first_position + int((i + draw.random()) * scored / count) for i in range(count)]

    def nll_at(self, evaluator, document, positions):
        return evaluator.recompute(document, list(positions), self.visibility(0))

    def timed_at(self, speed: dict) -> tuple[str, list[int]]:
        return "budget", [self.budget]
