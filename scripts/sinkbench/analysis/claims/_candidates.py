"""Claims that one of several candidates proves: the best one decides, and the sentence says of how many."""

from collections.abc import Sequence
from dataclasses import dataclass

from sinkbench.analysis.claims import HOLDS, RANKS, Finding, worst


@dataclass(frozen=True)
class Candidate:
    """One that may prove the claim.

    Args:
        method: its name.
        measured: its numbers in words, with the intervals that decide.
        verdicts: of all that it must satisfy.
        cost: what ranks it among those with an equal verdict; the smallest is the best.
    """

    method: str
    measured: str
    verdicts: tuple[str, ...]
    cost: float

    @property
    def verdict(self) -> str:
        """It must satisfy all."""
        return worst(self.verdicts)


def best_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The one of the best verdict (claims.best), and of these the cheapest."""
    return min(candidates, key=lambda one: (RANKS.index(one.verdict), one.cost))


def finding(candidates: Sequence[Candidate], kind: str) -> Finding:
    """The best candidate's, and how many of its kind prove the claim."""
    chosen, proving = best_candidate(candidates), sum(one.verdict == HOLDS for one in candidates)
    of = f", best of {len(candidates)} {kind} of which {proving or 'none'} would do" * (len(candidates) > 1)
    return Finding(f"{chosen.method}{of}: {chosen.measured}", chosen.verdict)
