"""Streaming has already made attention and cache cheap, so that better attention gains little."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import Finding, at_most
from sinkbench.analysis.profiles import Profile, hypothesis_profiles, share_sentence, speed_without_attention
from sinkbench.results.step_parts import ATTENTION, ATTENTION_IDLE, is_joint

TECHNIQUE = "Profile"
GPU_ONLY = True
CLAIM = "Attention and cache are no longer the bottleneck, so improving them gains little"
EXPERIMENT = (
    "Steps were timed as they are and, in turn, with rotation, cache, scores and weighted values stubbed. So "
    "the waiting for attention's launches counts as attention's."
)
THRESHOLD = (
    "at the full budget a step of the eager engine (launched kernel by kernel) at most 1.25 times as fast "
    "with its attention stubbed; other engines are shown beside it"
)
LIMIT = 1.25


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One: the eager engine decides."""
    found = hypothesis_profiles(measurements)
    said = "; ".join(filter(None, map(_sentence, found)))
    yield Finding(said, at_most(speed_without_attention(found[0]), LIMIT))


def _sentence(profile: Profile) -> str:
    """Nothing of an engine whose attention has kernels of its own but was not stubbed."""
    if profile.without_attention is not None:
        times = f"{profile.timed.number} ms, {profile.without_attention.number} ms without"
        return f"{profile.name} {speed_without_attention(profile)} with its attention stubbed ({times})"
    joint = any(is_joint(part, ATTENTION) for part in profile.parts.index)
    return f"{profile.name}: attention cannot be separated, it shares launches" if joint else ""


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What attention's time is made of, where it can be told."""
    for profile in hypothesis_profiles(measurements):
        if profile.without_attention is not None:
            taken = share_sentence(profile, (ATTENTION, ATTENTION_IDLE)).removeprefix(profile.name)
            yield f"on {profile.name} attention and the waiting for it take{taken}"
