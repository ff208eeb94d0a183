"""Flash attention conflicts with streaming's rotated keys and cache, and gains little."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import FAILS, HOLDS, Finding, at_most
from sinkbench.analysis.estimate import Estimate, estimate, ratio
from sinkbench.analysis.select import at_common_point, full_budget, method_of, pick

TECHNIQUE = "Flash attention"
GPU_ONLY = True
CLAIM = "Flash attention conflicts with streaming's rotated keys and cache, and its benefit is limited"
EXPERIMENT = (
    "The same ring was decoded and scored with one attention kernel of torch at a time; flash also in the "
    "formulation of the paper, which rotates every key anew."
)
THRESHOLD = (
    "on the ring at the full budget the flash kernel scores at least 2 times as far from the exact evaluator "
    "as the plain one (math), and decodes at most 1.1 times as fast"
)
FARTHER, FASTER = 2.0, 1.1
FLASH, PLAIN, REFERENCE = "eager_flash", "eager_math", "paper_flash"


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """Two: whether it computes the same, and whether it is faster."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    flash, plain = (_gap(measurements, streaming, engine) for engine in (FLASH, PLAIN))
    measured = f"NLL gap of {streaming}.{FLASH} {flash:.1e} nats, of {PLAIN} {plain:.1e}"
    yield Finding(measured, HOLDS if flash >= FARTHER * plain else FAILS)
    fast, slow = (_tpot(measurements, streaming, engine) for engine in (FLASH, PLAIN))
    speed = ratio(slow, fast)
    yield Finding(f"it takes {fast} ms a token, {speed} times the speed of {PLAIN}", at_most(speed, FASTER))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """What the formulation costs, with the same kernel."""
    streaming = method_of(measurements, "streaming", budget=full_budget(measurements))
    ring, formulation = (_tpot(measurements, streaming, engine) for engine in (FLASH, REFERENCE))
    yield (
        f"with equal kernels the formulation of the paper takes {formulation} ms a token, "
        f"{ratio(formulation, ring)} times the ring's, which rotates only the sinks and its new key"
    )


def _gap(measurements: pd.DataFrame, method: str, engine: str) -> float:
    return pick(measurements, "nll_gap", method=method, engine=engine)["value"].iloc[0]


def _tpot(measurements: pd.DataFrame, method: str, engine: str) -> Estimate:
    rows = at_common_point(pick(measurements, "tpot_ms", method=method, engine=engine))
    return estimate(rows.iloc[0].to_dict())
