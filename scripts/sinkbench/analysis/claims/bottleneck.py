"""Decoding is bound by the MLP, residual and LayerNorm, and framework overhead."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_least
from sinkbench.analysis.profiles import Profile, hypothesis_profiles, share, share_sentence
from sinkbench.results.step_parts import ATTENTION, ATTENTION_IDLE, HYPOTHESIS_PARTS, IDLE, is_joint

TECHNIQUE = "Profile"
GPU_ONLY = True
CLAIM = "The bottleneck is the MLP, residual and LayerNorm, and framework overhead"
EXPERIMENT = (
    "The launches of decode steps were traced and each was attributed to a part of the model. Idle time that "
    "goes when attention is stubbed is attention's, and all other idle time is framework overhead."
)
THRESHOLD = (
    "at the full budget MLP, norms with residual, and idle time that is not attention's together at least "
    "50 % of a step of the eager engine (launched kernel by kernel); other engines are shown beside it"
)
LIMIT_PERCENT = 50.0


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the eager engine decides."""
    found = hypothesis_profiles(measurements)
    measured = "; ".join(map(_sentence, found))
    yield Finding(measured, at_least(share(found[0], HYPOTHESIS_PARTS), LIMIT_PERCENT))


def _sentence(profile: Profile) -> str:
    if any(is_joint(part, ATTENTION) for part in profile.parts.index):
        return f"{profile.name}: parts cannot be separated, attention and MLP share launches"
    return share_sentence(profile, HYPOTHESIS_PARTS)


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """How many launches a step is made of, and how long the device waits for them, for whom."""
    for profile in hypothesis_profiles(measurements):
        attention, others = map(profile.percent, (ATTENTION_IDLE, IDLE))
        split = f", {attention:.0f} % of the step for attention" if profile.without_attention else ""
        waits = f"idle for {attention + others:.0f} %{split}"
        yield f"a step of {profile.name} is {profile.launches:,} launches, and {waits}"
