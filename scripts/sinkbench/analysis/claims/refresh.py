"""RefreshLite: refreshes hold the perplexity of smaller windows."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import UNDECIDED, Finding, at_most
from sinkbench.analysis.claims._candidates import Candidate, best_candidate, finding
from sinkbench.analysis.estimate import Estimate, estimate
from sinkbench.analysis.quantization_gains import PLAIN
from sinkbench.analysis.select import NotMeasured, corpora, full_budget, matching, method_of, usable
from sinkbench.analysis.tradeoff import changes_against

TECHNIQUE = "RefreshLite"
CLAIM = "RefreshLite stabilises the perplexity of smaller windows"
EXPERIMENT = (
    "Caches of a small budget that are chosen or computed anew every few tokens scored the same positions as "
    "streaming at the full budget. The best cache decides, and the same one on every corpus: what wins on "
    "one text by chance would not win on all."
)
THRESHOLD = (
    "one refreshed cache below the full budget at most 4 % above streaming at the full budget on every "
    "corpus; the best of several on one corpus alone proves nothing"
)
LIMIT_PERCENT = 4.0
CONTROL = "lazy"  # of the family, but no refresh


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: of the best cache, on all corpora."""
    yield finding(_candidates(measurements), "caches")


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """Whether the gain wears off between two refreshes."""
    method = best_candidate(_candidates(measurements)).method
    for corpus in corpora(measurements, family="refresh"):
        rows = matching(usable(measurements), metric="perplexity_change_phase", method=method, corpus=corpus)
        rows = rows.sort_values("position")
        if len(rows) > 1:
            first, last = (estimate(rows.iloc[end].to_dict(), "+z.2f", unit="%") for end in (0, -1))
            yield f"on {corpus} {method}: {first} right after a refresh, {last} before the next"


def _candidates(measurements: pd.DataFrame) -> list[Candidate]:
    """The refreshed caches below the full budget that were scored on every corpus of their family."""
    full = method_of(measurements, "streaming", budget=full_budget(measurements))
    names = corpora(measurements, family="refresh")
    changes = {corpus: changes_against(measurements, corpus, full) for corpus in names}
    methods = [method for method in _caches(measurements) if all(method in of for of in changes.values())]
    if not methods:
        raise NotMeasured("")
    chosen_and_judged = [UNDECIDED] * (len(methods) > 1 and len(names) == 1)
    own = {method: {corpus: of[method] for corpus, of in changes.items()} for method in methods}
    return [_candidate(method, of, full, chosen_and_judged) for method, of in own.items()]


def _candidate(method: str, changes: dict[str, Estimate], full: str, doubts: list[str]) -> Candidate:
    verdicts = (*(at_most(change, LIMIT_PERCENT) for change in changes.values()), *doubts)
    said = " and ".join(f"{change} on {corpus}" for corpus, change in changes.items())
    largest = max(change.value for change in changes.values())
    return Candidate(method, f"{said} against {full}", verdicts, largest)


def _caches(measurements: pd.DataFrame) -> list[str]:
    rows = matching(usable(measurements), metric="perplexity_change", family="refresh", quantization=PLAIN)
    rows = rows[(rows["policy"] != CONTROL) & (rows["budget"] < full_budget(measurements))]
    return list(rows["method"].unique())
