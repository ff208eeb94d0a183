"""Claims: one file, one word. `sinkbench/claims/<word>.py` defines:

    CLAIM, THRESHOLD      the claim, and in words what must be measured for it to hold
    findings(measurements)   one Finding per corpus or device: a sentence with its numbers, and its verdict

It raises readings.NotMeasured if the study lacks a number that the claim needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.readings import NotMeasured

HOLDS = "holds"
FAILS = "does not hold"
UNDECIDED = "undecided (interval spans the threshold)"
NOT_MEASURED = "not measured in this study"


@dataclass(frozen=True)
class Finding:
    """One measurement that a claim rests on."""

    measured: str
    verdict: str


@dataclass(frozen=True)
class Verdict:
    """A row of the verdict table."""

    claim: str
    threshold: str
    measured: str
    verdict: str


def available() -> list[str]:
    """The claims that can be judged: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def judge(word: str, measurements: pd.DataFrame) -> Verdict:
    """The verdict on a claim; it must hold in every finding."""
    module = import_module(f"{__name__}.{word}")
    try:
        findings = list(module.findings(measurements))
    except NotMeasured as reason:
        return Verdict(module.CLAIM, module.THRESHOLD, str(reason), NOT_MEASURED)
    if not findings:
        return Verdict(module.CLAIM, module.THRESHOLD, "", NOT_MEASURED)
    measured = "; ".join(finding.measured for finding in findings)
    return Verdict(module.CLAIM, module.THRESHOLD, measured, worst(finding.verdict for finding in findings))


def at_most(measured: Estimate, limit: float) -> str:
    """Whether a quantity is at most `limit`, by its whole interval."""
    low, high = measured.bounds
    if high <= limit:
        return HOLDS
    return FAILS if low > limit else UNDECIDED


def at_least(measured: Estimate, limit: float) -> str:
    """Whether a quantity is at least `limit`, by its whole interval."""
    low, high = measured.bounds
    if low >= limit:
        return HOLDS
    return FAILS if high < limit else UNDECIDED


def worst(verdicts: Iterable[str]) -> str:
    """The worst of them."""
    return max(verdicts, key=[HOLDS, UNDECIDED, FAILS].index)
