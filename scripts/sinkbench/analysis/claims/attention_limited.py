"""Streaming has already made attention and cache cheap, so that better attention gains little."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.profiles import Profile, hypothesis_profiles, share, share_sentence
from sinkbench.results.step_parts import ATTENTION

TECHNIQUE = "Profile"
GPU_ONLY = True
CLAIM = "Attention and cache are no longer the bottleneck, so improving them gains little"
EXPERIMENT = (
    "The time of rotation, cache, scores and weighted values was read from the profile; a step without it is "
    "what the best attention could reach."
)
THRESHOLD = (
    "at the full budget a step of the eager engine (launched kernel by kernel) at most 1.25 times as fast "
    "if attention took no time; the fastest engine is shown beside it"
)
LIMIT = 1.25


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the eager engine decides."""
    found = hypothesis_profiles(measurements)
    yield Finding("; ".join(map(_sentence, found)), at_most(_gain(found[0]), LIMIT))


def _gain(profile: Profile) -> Estimate:
    """Speed without attention over that with it (Amdahl 1967)."""
    percent = share(profile, (ATTENTION,))
    ends = (1 / (1 - part / 100) for part in (percent.value, *percent.bounds))
    return Estimate(*ends, unit="times the speed without attention")


def _sentence(profile: Profile) -> str:
    return f"{share_sentence(profile, (ATTENTION,))}, {_gain(profile)}"


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What the rest of a step is."""
    for profile in hypothesis_profiles(measurements):
        largest = max(profile.parts.index, key=profile.percent)
        yield f"the largest part of {profile.name} is {share_sentence(profile, (largest,)).partition(' ')[2]}"
