"""Speculation over a long stream: whether it gains speed there, and whether its drafts go on being right."""

from collections.abc import Iterator
from contextlib import suppress

import pandas as pd

from sinkbench.analysis.claims import NOT_MEASURED, Finding, at_most, best
from sinkbench.analysis.drafts import (
    PER_TOKEN,
    a_round,
    at_most_gains,
    costs,
    fastest_drafted,
    fastest_undrafted,
    kept,
)
from sinkbench.analysis.estimate import estimate, ratio
from sinkbench.analysis.select import NotMeasured, full_budget, method_of, run_name

TECHNIQUE = "Speculative decoding"
CLAIM = "Speculative decoding is unreliable over long streams"
EXPERIMENT = (
    "Tokens were drafted that the model then verified without changing its output: by a smaller model with a "
    "cache of the same policy, or by looking up what followed the same tokens before. Real texts were "
    "continued from several places. Speed is against the fastest engine without drafts, whichever that is."
)
THRESHOLD = (
    "under streaming at the full budget, greedy and sampled: the fastest run with drafts is at the largest "
    "position no faster than the fastest without, or keeps there at most 0.8 of the share of drafts that it "
    "keeps at the smallest"
)
LIMIT_SPEED, LIMIT_KEPT = 1.0, 0.8


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per temperature; what dense attention keeps stands beside it where it was measured."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    for run, count in fastest_drafted(measurements, streaming):
        judged = run["metric"] == PER_TOKEN
        yield _timed(measurements, run, count) if judged else _bounded(measurements, run)
    with suppress(NotMeasured):  # a study may leave dense attention out
        for run, _ in fastest_drafted(measurements, method_of(measurements, "dense")):
            yield Finding(kept(measurements, run)[0])


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What a round yields and takes, what of it is the draft's, and what is gained if every draft stays."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    for run, _ in fastest_drafted(measurements, streaming):
        with suppress(NotMeasured):  # of random weights nothing is said of acceptance
            yield a_round(measurements, run)
        yield from costs(measurements, run)
        yield at_most_gains(measurements, run)[0]


def _timed(measurements: pd.DataFrame, run: dict, count: int) -> Finding:
    """Whether a run gains speed over the fastest without drafts, and whether its drafts go on being right."""
    rival = fastest_undrafted(measurements, run)
    speed = ratio(estimate(rival), estimate(run))
    chosen = run_name(run) + f" (the fastest of {count})" * (count > 1)
    measured = f"{chosen} {speed} times the speed of {run_name(rival)} at {run['position']:,} tokens"
    share, loses = "", NOT_MEASURED
    with suppress(NotMeasured):  # a study may time one position
        share, change = kept(measurements, run)
        loses = at_most(change, LIMIT_KEPT)
    verdict = best([at_most(speed, LIMIT_SPEED), loses])
    return Finding("; ".join(filter(None, (measured, share))), verdict)


def _bounded(measurements: pd.DataFrame, run: dict) -> Finding:
    """Whether a run of which no draft was judged gains no speed whatever stays: then it proves the claim."""
    measured, speed = at_most_gains(measurements, run)
    return Finding(measured, best([at_most(speed, LIMIT_SPEED), NOT_MEASURED]))
