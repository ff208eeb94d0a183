"""Flash attention conflicts with streaming's rotated keys and cache, and gains little."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.ablations import nll_gap
from sinkbench.analysis.claims import Finding, at_least, at_most
from sinkbench.analysis.claims._runs import beside, failed
from sinkbench.analysis.estimate import Estimate, estimate, ratio
from sinkbench.analysis.select import (
    NotMeasured,
    at_largest_point,
    full_budget,
    matching,
    method_of,
    pick,
)

TECHNIQUE = "Flash attention"
GPU_ONLY = True
CLAIM = "Flash attention conflicts with streaming's rotated keys and cache, and its benefit is limited"
EXPERIMENT = (
    "Streaming was decoded and scored with flash and without. The ring has the kernel that torch chooses "
    "instead. The formulation of the paper, which rotates every key anew, has plain products instead."
)
THRESHOLD = (
    "at the full budget, on the ring and in the formulation of the paper: flash scores at least 2 times as "
    "far from the exact evaluator as the same step without it, and decodes at most 1.1 times as fast"
)
FARTHER, FASTER = 2.0, 1.1
PAIRS = (("eager_flash", "eager"), ("paper_flash", "paper"))  # with flash, and without


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """Two for each formulation that has both: whether flash computes the same, and whether it is faster."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    for flash, other in _measured(measurements, streaming):
        gaps = [nll_gap(measurements, streaming, engine) for engine in (flash, other)]
        farther = ratio(*gaps)
        measured = f"NLL gap of {streaming}.{flash} {gaps[0]}, {farther} times that of {other}"
        yield Finding(measured, at_least(farther, FARTHER))
        fast, slow = _times(measurements, streaming, flash, other)
        faster = ratio(slow, fast)
        measured = f"{streaming}.{flash} takes {fast} ms a token, {faster} times the speed of {other}"
        yield Finding(measured, at_most(faster, FASTER))
    yield from beside(matching(measurements, method=streaming), sum(PAIRS, ()))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What the formulation costs, with the same kernel."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    ring, formulation = _times(measurements, streaming, *(flash for flash, _ in PAIRS))
    yield (
        f"with equal kernels the formulation of the paper takes {formulation} ms a token, "
        f"{ratio(formulation, ring)} times the ring's, which rotates only the sinks and its new key"
    )


def _measured(measurements: pd.DataFrame, method: str) -> list[tuple[str, str]]:
    """The pairs of which both engines were timed; NotMeasured without one, with the status of what failed."""
    engines = set(pick(measurements, "tpot_ms", method=method)["engine"])
    found = [pair for pair in PAIRS if engines.issuperset(pair)]
    if not found:
        raise NotMeasured("; ".join(failed(matching(measurements, method=method), sum(PAIRS, ())).values()))
    return found


def _times(measurements: pd.DataFrame, method: str, *engines: str) -> list[Estimate]:
    """TPOT of two runs: at the largest position that both have, or else at the largest of each.

    A bounded cache takes the same time at every position.
    """
    rows = [pick(measurements, "tpot_ms", method=method, engine=engine) for engine in engines]
    shared = set.intersection(*(set(own["position"]) for own in rows))
    if shared:
        rows = [matching(own, position=max(shared)) for own in rows]
    return [estimate(at_largest_point(own).iloc[0].to_dict()) for own in rows]
