"""Int8 helps in the MLP alone, where the hypothesis under test sees the bottleneck, and not in all layers."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time
from sinkbench.analysis.claims import (
    FAILS,
    HOLDS,
    INVALID,
    NOT_MEASURED,
    ON_A_GPU,
    UNAVAILABLE,
    UNTESTABLE,
    Finding,
    at_least,
    at_most,
    best,
    on_cpu,
    worst,
)
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import gains, plain_method, pooled, using
from sinkbench.analysis.select import NotMeasured, corpora, fastest, pick, run_name, statuses, usable

TECHNIQUE = "Quantization"
CLAIM = "Quantizing only the MLP helps where quantizing the whole model fails"
EXPERIMENT = (
    "Int8 weights in the MLP alone and in all layers scored the same positions as unquantized ones, and were "
    "decoded beside them on the same engine."
)
THRESHOLD = (
    "one int8 format suffices: in the MLP alone at most 1 % above the perplexity of unquantized weights on "
    "every corpus, and on its fastest engine at least 1.05 times their speed; in all layers not both"
)
COMBINE = best
LIMIT_PERCENT, LIMIT_SPEEDUP = 1.0, 1.05
FORMATS = {"int8_mlp": "int8", "torchao_int8_mlp": "torchao_int8"}  # in the MLP alone: in all layers
OPPOSITE = {HOLDS: FAILS, FAILS: HOLDS}


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per format: its MLP-only kind must help, and the kind in all layers must not."""
    for mlp, everywhere in FORMATS.items():
        if using(measurements, mlp).empty:
            continue
        parts, others = (list(_helps(measurements, word)) for word in (mlp, everywhere))
        helps, does_as_well = (worst(part.verdict for part in found) for found in (parts, others))
        measured = "; ".join(part.measured for part in (*parts, *others))
        yield Finding(measured, worst([helps, OPPOSITE.get(does_as_well, does_as_well)]))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """The bytes that each saves, and the time."""
    for word in [] if on_cpu(measurements) else [word for pair in FORMATS.items() for word in pair]:
        for row in _fastest(measurements, word):
            yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _helps(measurements: pd.DataFrame, word: str) -> Iterator[Finding]:
    """Whether a format keeps the perplexity, on each corpus, and gains speed."""
    yield from list(_quality(measurements, word)) or [_lacks(measurements, word, "perplexity")]
    if on_cpu(measurements):  # whose times say nothing of a GPU's
        yield Finding(f"its speed is {ON_A_GPU}", ON_A_GPU)
        return
    yield from list(_speed(measurements, word)) or [_lacks(measurements, word, "time")]


def _quality(measurements: pd.DataFrame, word: str) -> Iterator[Finding]:
    for corpus in corpora(measurements):
        for row in _changes(measurements, corpus, word):
            change = estimate(row, "+z.2f", unit="%", note=f"against {row['against']}")
            yield Finding(f"on {corpus} {word} {change}", at_most(change, LIMIT_PERCENT))
        broken = using(pooled(measurements, corpus, "perplexity"), word)
        broken = broken[broken["method"].str.endswith(word) & broken["status"].str.startswith(INVALID)]
        yield from (Finding(f"on {corpus} {word}: {status}", FAILS) for status in broken["status"].unique())


def _speed(measurements: pd.DataFrame, word: str) -> Iterator[Finding]:
    for row in _fastest(measurements, word):
        speedup = estimate(row, unit="times", note="the speed of unquantized weights")
        yield Finding(f"{run_name(row)} {speedup}", at_least(speedup, LIMIT_SPEEDUP))


def _lacks(measurements: pd.DataFrame, word: str, what: str) -> Finding:
    """That a format has no perplexity or no time, with the statuses of its runs that failed."""
    failed = dict.fromkeys(statuses(using(measurements, word)).values())
    untestable = bool(failed) and all(status.startswith(UNAVAILABLE) for status in failed)
    said = f"no {what} of {word}" + f" ({'; '.join(failed)})" * bool(failed)
    return Finding(said, UNTESTABLE if untestable else NOT_MEASURED)


def _changes(measurements: pd.DataFrame, corpus: str, word: str) -> list[dict]:
    """Changes of perplexity against the same method with unquantized weights."""
    rows = using(pooled(usable(measurements), corpus, "perplexity_change"), word)
    return [row for row in rows.to_dict("records") if row["against"] == plain_method(row)]


def _fastest(measurements: pd.DataFrame, word: str) -> list[dict]:
    """The gain in speed of a format's fastest run, if one was timed."""
    try:
        rows, times = using(gains(measurements), word), using(pick(measurements, "tpot_ms"), word)
    except NotMeasured:
        return []
    times = times[times["engine"].isin(rows["engine"])]
    if rows.empty or times.empty:
        return []
    name = run_name(fastest(times))
    return [row for row in rows.to_dict("records") if run_name(row) == name]
