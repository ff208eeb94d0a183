"""Decoding is bound by the MLP, residual and LayerNorm, and framework overhead."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.profiles import hypothesis_profiles, share, share_sentence
from sinkbench.results.step_parts import HYPOTHESIS_PARTS, IDLE

TECHNIQUE = "Profile"
GPU_ONLY = True
CLAIM = "The bottleneck is the MLP, residual and LayerNorm, and framework overhead"
EXPERIMENT = "The launches of decode steps were traced and each was attributed to a part of the model."
THRESHOLD = (
    "at the full budget MLP, norms with residual, and idle time together at least 50 % of a step of the "
    "eager engine (launched kernel by kernel); the fastest engine is shown beside it"
)
LIMIT_PERCENT = 50.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the eager engine decides."""
    found = hypothesis_profiles(measurements)
    measured = "; ".join(share_sentence(profile, HYPOTHESIS_PARTS) for profile in found)
    yield Finding(measured, at_least(share(found[0], HYPOTHESIS_PARTS), LIMIT_PERCENT))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """How many launches a step is made of, and how long the device waits for them."""
    for profile in hypothesis_profiles(measurements):
        idle = profile.percent(IDLE)
        yield f"a step of {profile.name} is {profile.launches:,} launches, and idle for {idle:.0f} %"
