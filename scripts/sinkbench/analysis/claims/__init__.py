"""Claims: a file each. `analysis/claims/<name>.py` defines:

    CLAIM, THRESHOLD      the claim, and in words what must be measured for it to hold
    findings(measurements)   one Finding per comparison: a sentence with its numbers, and its verdict

`findings` raises select.NotMeasured if the study lacks a number that the claim needs. What decides is an
interval, which the sentence prints. A claim may also define

    COMBINE               `worst`, the default: it must hold in every finding. `best`: one that holds suffices
    TECHNIQUE             the technique, of the hypothesis under test, under whose heading the claim stands
    EXPERIMENT            in a sentence, what was compared and how
    GPU_ONLY              True where times of a CPU would say nothing: the claim is of what a GPU does
    cause(measurements)   sentences with measured numbers that explain the result; NotMeasured as above
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType

import pandas as pd

from sinkbench import registry
from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.select import NotMeasured, devices, is_partial
from sinkbench.results.schema import PENDING

HOLDS = "reproduced"
FAILS = "refuted"
UNDECIDED = "undecided (interval spans the threshold)"
NO_INTERVAL = "undecided (no interval)"
BUSY = "undecided (disturbed)"
NOT_MEASURED = "not measured in this study"
NOT_YET = PENDING  # planned; the study has not come to it
UNTESTABLE = "cannot be tested here"
ON_A_GPU = "timed on a GPU only"
UNAVAILABLE = "unavailable"  # begins the status of a run that cannot be made on this machine
INVALID = "invalid"  # and that of a method with a NaN or an infinity
OTHER_TECHNIQUES = "Other techniques"
# From what a claim can best get to the worst.
RANKS = [HOLDS, ON_A_GPU, UNDECIDED, NO_INTERVAL, BUSY, UNTESTABLE, NOT_MEASURED, NOT_YET, FAILS]


@dataclass(frozen=True)
class Finding:
    """One comparison that a claim rests on; without a verdict it only stands beside the others."""

    measured: str
    verdict: str = ""


@dataclass(frozen=True)
class Verdict:
    """A row of the verdict table; the page of findings shows all of it.

    Args:
        tally: how many of several comparisons made the verdict, where some of them alone suffice.
    """

    claim: str
    threshold: str
    measured: str
    verdict: str
    technique: str = OTHER_TECHNIQUES
    experiment: str = ""
    cause: str = ""
    tally: str = ""

    @property
    def conclusion(self) -> str:
        """The verdict with its tally."""
        return f"{self.verdict} ({self.tally})" if self.tally else self.verdict


def judge(name: str, measurements: pd.DataFrame) -> Verdict:
    """The verdict on a claim, from those of its findings: see COMBINE above."""
    module = registry.load("analysis/claims", name)
    if vars(module).get("GPU_ONLY") and on_cpu(measurements):
        return _verdict(module, "", ON_A_GPU)
    try:
        findings = list(module.findings(measurements))
    except NotMeasured as reason:
        return _without_findings(module, measurements, str(reason))
    measured = "; ".join(finding.measured for finding in findings)
    verdicts = [finding.verdict for finding in findings if finding.verdict]
    if not verdicts:
        return replace(_without_findings(module, measurements, ""), measured=measured)
    combine = vars(module).get("COMBINE", worst)
    verdict = combine(verdicts)
    if verdict == NOT_MEASURED and is_partial(measurements):
        verdict = NOT_YET
    cause = _cause(module, measurements)
    return replace(_verdict(module, measured, verdict, cause), tally=_tally(verdicts, verdict, combine))


def _without_findings(module: ModuleType, measurements: pd.DataFrame, reason: str) -> Verdict:
    """The verdict on a claim that lacks a number: for good, or because it is not measured yet."""
    unavailable = reason.startswith(UNAVAILABLE) and PENDING not in reason
    if is_partial(measurements) and not unavailable:
        return _verdict(module, "", NOT_YET)
    return _verdict(module, reason, UNTESTABLE if unavailable else NOT_MEASURED)


def on_cpu(measurements: pd.DataFrame) -> bool:
    """Whether all that was measured was measured on a CPU (runtime.environment names the device)."""
    names = devices(measurements)
    return len(names) > 0 and all(name.startswith("CPU") for name in names)


def _verdict(module: ModuleType, measured: str, verdict: str, cause: str = "") -> Verdict:
    constants = vars(module)
    technique = constants.get("TECHNIQUE", OTHER_TECHNIQUES)
    experiment = constants.get("EXPERIMENT", "")
    return Verdict(module.CLAIM, module.THRESHOLD, measured, verdict, technique, experiment, cause)


def _cause(module: ModuleType, measurements: pd.DataFrame) -> str:
    """What the claim's file makes of the measurements; nothing if it names no cause, or none was measured."""
    found = []
    with suppress(NotMeasured):
        found.extend(module.cause(measurements) if "cause" in vars(module) else ())
    return "; ".join(found)


def _tally(verdicts: list[str], verdict: str, combine: Callable) -> str:
    """How many of several comparisons made a verdict that one can make; each has the risk of its interval."""
    if len(verdicts) < 2 or verdict != (HOLDS if combine is best else FAILS):
        return ""
    return f"{verdicts.count(verdict)} of {len(verdicts)} comparisons"


def at_most(measured: Estimate, limit: float) -> str:
    """Whether a quantity is at most `limit`, by its whole interval; undecided without one, or disturbed."""
    return _unfit(measured) or _by_interval(*measured.bounds, limit)


def at_least(measured: Estimate, limit: float) -> str:
    """Whether a quantity is at least `limit`, by its whole interval; undecided without one, or disturbed."""
    low, high = measured.bounds
    return _unfit(measured) or _by_interval(-high, -low, -limit)


def _unfit(measured: Estimate) -> str:
    """The verdict on a number that decides nothing; nothing for one that may."""
    if not measured.interval:
        return NO_INTERVAL
    return BUSY if measured.mark else ""


def _by_interval(low: float, high: float, most: float) -> str:
    if high <= most:
        return HOLDS
    return FAILS if low > most else UNDECIDED


def worst(verdicts: Iterable[str]) -> str:
    """Of a claim that must hold everywhere: refuted if one refutes it, reproduced if all reproduce it."""
    return max(verdicts, key=RANKS.index)


def best(verdicts: Iterable[str]) -> str:
    """Of a claim that one case proves: reproduced if one reproduces it, refuted if all refute it."""
    return min(verdicts, key=RANKS.index)
