"""Int8 in the MLP alone helps, where the hypothesis under test sees the bottleneck."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.causes import bytes_and_time
from sinkbench.analysis.claims import FAILS, ON_A_GPU, Finding, at_least, at_most, on_cpu
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
    "int8 in the MLP at most 1 % above the perplexity of unquantized weights, and on its fastest engine at "
    "least 1.05 times their speed"
)
LIMIT_PERCENT, LIMIT_SPEEDUP = 1.0, 1.05
MLP, ALL = ("int8_mlp", "torchao_int8_mlp"), ("int8", "torchao_int8")


def findings(measurements: pd.DataFrame) -> list[Finding]:
    """Of quality per corpus and implementation, and of speed.

    Raises NotMeasured unless both were measured, or one alone refutes: the claim needs both.
    """
    quality, speed = list(_quality(measurements)), list(_speed(measurements))
    found = quality + speed
    if (quality and speed) or any(finding.verdict == FAILS for finding in found):
        return found
    failed = list(statuses(using(measurements, *MLP)).values())
    lacking = ["no perplexity of it"] * (not quality) + ["no time of it"] * (not speed)
    measured = [finding.measured for finding in found]
    raise NotMeasured("; ".join(failed + measured + lacking * bool(found)))


def _quality(measurements: pd.DataFrame) -> Iterator[Finding]:
    for corpus in corpora(measurements):
        changes = _changes(measurements, corpus)
        beside = "".join(f", {_named(row)} in all layers" for row in using(changes, *ALL).to_dict("records"))
        for row in using(changes, *MLP).to_dict("records"):
            change = estimate(row, "+z.2f", unit="%")
            yield Finding(f"on {corpus} {_named(row)}{beside}", at_most(change, LIMIT_PERCENT))


def _speed(measurements: pd.DataFrame) -> Iterator[Finding]:
    """On a CPU, whose times say nothing of a GPU's, only that a GPU has to tell."""
    if on_cpu(measurements):
        yield Finding(f"its speed is {ON_A_GPU}", ON_A_GPU)
        return
    for row in _fastest(measurements):
        speedup = estimate(row, unit="times", note="the speed of unquantized weights")
        yield Finding(f"{run_name(row)} {speedup}", at_least(speedup, LIMIT_SPEEDUP))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """The bytes that it saves, and the time."""
    for row in [] if on_cpu(measurements) else _fastest(measurements):
        yield from bytes_and_time(measurements, run_name(row), row["against"], row["position"])


def _changes(measurements: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """Changes of perplexity against the same method with unquantized weights."""
    rows = pooled(usable(measurements), corpus, "perplexity_change")
    own = [row["against"] == plain_method(row) for row in rows.to_dict("records")]
    return rows[pd.Series(own, rows.index, dtype=bool)]


def _named(row: dict) -> str:
    return f"{row['quantization']} {estimate(row, '+z.2f', unit='%')}"


def _fastest(measurements: pd.DataFrame) -> list[dict]:
    """The gain in speed of the fastest run, if one was timed."""
    try:
        rows = using(gains(measurements), *MLP)
        times = using(pick(measurements, "tpot_ms"), *MLP)
    except NotMeasured:
        return []
    times = times[times["engine"].isin(rows["engine"])]
    if rows.empty or times.empty:
        return []
    name = run_name(fastest(times))
    return [row for row in rows.to_dict("records") if run_name(row) == name]
