"""Which share of a decode step some of its parts take, for the claims about the bottleneck."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.profiles import Profile, profiles
from sinkbench.analysis.select import NotMeasured, full_budget, method_of, single_stream
from sinkbench.results.step_parts import label, members

ENGINES = ("eager", "paper")  # streaming inside transformers without a compiler, the nearer one first


def hypothesis_profiles(measurements: pd.DataFrame) -> tuple[Profile, Profile]:
    """Profiles of streaming at its full budget: on the brief's kind of engine, and on the fastest one.

    Raises:
        NotMeasured: the brief's kind was not profiled.
    """
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    found = {p.row["engine"]: p for p in profiles(single_stream(measurements), method=streaming)}
    engine = next((word for word in ENGINES if word in found), None)
    if engine is None:
        raise NotMeasured("")
    return found[engine], min(found.values(), key=lambda profile: profile.step_ms)


def distinct(*found: Profile) -> Iterator[Profile]:
    """The profiles, each run once."""
    yield from {profile.name: profile for profile in found}.values()


def share(profile: Profile, words: tuple[str, ...]) -> Estimate:
    """Percent of the step in the parts `words`.

    The interval joins the far ends, which is cautious; a launch that does some of a named part's work beside
    another part's counts for nothing at the lower end and in full at the upper one.
    """
    ends = profile.parts.astype(float)
    ends = ends.fillna({"low": ends["value"], "high": ends["value"]})
    named, partly = ends.index.isin(words), ends.index.map(lambda part: _is_partly_named(part, words))
    low = _percent(ends["low"][named].sum(), ends["high"][~named].sum())
    high = _percent(ends["high"][partly].sum(), ends["low"][~partly].sum())
    value = _percent(ends["value"][named].sum(), ends["value"][~named].sum())
    return Estimate(value, low, high, spec=".0f", unit="%", note=f"of {profile.step_ms:,.2f} ms")


def sentence(profile: Profile, words: tuple[str, ...]) -> str:
    """The share, and those of the parts that it is made of."""
    shown = [part for part in profile.parts.index if _is_partly_named(part, words)]
    shares = ", ".join(f"{label(part)}: {profile.percent(part):.0f} %" for part in shown)
    return f"{profile.name} {share(profile, words)} ({shares})"


def _is_partly_named(part: str, words: tuple[str, ...]) -> bool:
    return part in words or any(word in words for word in members(part))


def _percent(named: float, rest: float) -> float:
    return 100 * named / (named + rest)
