"""The brief's profile: decoding is bound by the MLP, residual and LayerNorm, and framework overhead."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.cells import Estimate
from sinkbench.claims import Finding, at_least
from sinkbench.parts import BRIEF, label, members
from sinkbench.profile_readings import Profile, profiles
from sinkbench.readings import NotMeasured, full_budget, method_of, single_stream

CLAIM = "The bottleneck is the MLP, residual and LayerNorm, and framework overhead"
THRESHOLD = (
    "at the full budget MLP, norms with residual, and idle time together at least 50 % of a step of the "
    "eager engine (the brief's kind); the fastest engine is shown beside it"
)
LIMIT_PERCENT = 50.0
ENGINES = ("eager", "reference")  # streaming inside transformers without a compiler, the nearer one first


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the brief's kind of engine decides."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    found = {p.row["engine"]: p for p in profiles(single_stream(measurements), method=streaming)}
    engine = next((word for word in ENGINES if word in found), None)
    if engine is None:
        raise NotMeasured("")
    fastest = min(found.values(), key=lambda profile: profile.step_ms)
    shown = {profile.name: profile for profile in (found[engine], fastest)}
    measured = "; ".join(_sentence(profile) for profile in shown.values())
    yield Finding(measured, at_least(_share(found[engine]), LIMIT_PERCENT))


def _share(profile: Profile) -> Estimate:
    """Percent of the step in the parts that the brief names.

    The interval joins the far ends, which is cautious; a launch that does some of the MLP's work beside
    another part's counts for nothing at the lower end and in full at the upper one.
    """
    ends = profile.parts.astype(float)
    ends = ends.fillna({"low": ends["value"], "high": ends["value"]})
    named, partly = ends.index.isin(BRIEF), ends.index.map(_is_partly_named)
    low = _percent(ends["low"][named].sum(), ends["high"][~named].sum())
    high = _percent(ends["high"][partly].sum(), ends["low"][~partly].sum())
    value = _percent(ends["value"][named].sum(), ends["value"][~named].sum())
    return Estimate(value, low, high, spec=".0f", unit="%", note=f"of {profile.step_ms:,.2f} ms")


def _is_partly_named(part: str) -> bool:
    return any(word in BRIEF for word in members(part))


def _percent(named: float, rest: float) -> float:
    return 100 * named / (named + rest)


def _sentence(profile: Profile) -> str:
    shown = filter(_is_partly_named, profile.parts.index)
    shares = "; ".join(f"{label(part)}: {profile.percent(part):.0f} %" for part in shown)
    return f"{profile.name} {_share(profile)} ({shares})"
