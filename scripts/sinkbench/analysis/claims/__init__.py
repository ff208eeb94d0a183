"""Claims: a file each. `analysis/claims/<name>.py` defines:

    CLAIM, THRESHOLD      the claim, and in words what must be measured for it to hold
    findings(measurements)   one Finding per corpus or device: a sentence with its numbers, and its verdict

`findings` raises select.NotMeasured if the study lacks a number that the claim needs. For the page of
findings a claim may also define

    TECHNIQUE             the technique, of the hypothesis under test, under whose heading the claim stands
    EXPERIMENT            in a sentence, what was compared and how
    GPU_ONLY              True where times of a CPU would say nothing: the claim is of what a GPU does
    cause(measurements)   sentences with measured numbers that explain the result; NotMeasured as above
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType

import pandas as pd

from sinkbench import registry
from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.select import NotMeasured, devices, is_partial
from sinkbench.results.schema import PENDING

HOLDS = "reproduced"
FAILS = "refuted"
UNDECIDED = "undecided (interval spans the threshold)"
NOT_MEASURED = "not measured in this study"
NOT_YET = PENDING  # planned; the study has not come to it
UNTESTABLE = "cannot be tested here"
ON_A_GPU = "timed on a GPU only"
UNAVAILABLE = "unavailable"  # begins the status of a run that cannot be made on this machine
OTHER_TECHNIQUES = "Other techniques"


@dataclass(frozen=True)
class Finding:
    """One measurement that a claim rests on."""

    measured: str
    verdict: str


@dataclass(frozen=True)
class Verdict:
    """A row of the verdict table; the page of findings shows all of it."""

    claim: str
    threshold: str
    measured: str
    verdict: str
    technique: str = OTHER_TECHNIQUES
    experiment: str = ""
    cause: str = ""


def judge(name: str, measurements: pd.DataFrame) -> Verdict:
    """The verdict on a claim; it must hold in every finding."""
    module = registry.load("analysis/claims", name)
    if vars(module).get("GPU_ONLY") and on_cpu(measurements):
        return _verdict(module, "", ON_A_GPU)
    try:
        findings = list(module.findings(measurements))
    except NotMeasured as reason:
        return _without_findings(module, measurements, str(reason))
    if not findings:
        return _without_findings(module, measurements, "")
    measured = "; ".join(finding.measured for finding in findings)
    verdict = worst(finding.verdict for finding in findings)
    return _verdict(module, measured, verdict, _cause(module, measurements))


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
    return max(verdicts, key=[HOLDS, ON_A_GPU, UNDECIDED, FAILS].index)
