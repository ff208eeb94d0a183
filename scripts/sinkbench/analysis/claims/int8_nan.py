"""Int8 weights give NaN: float16 products overflow before they are scaled."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import FAILS, HOLDS, INVALID, NOT_MEASURED, Finding, best
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import PLAIN, pooled, using
from sinkbench.analysis.select import corpora, matching, single_stream

TECHNIQUE = "Quantization"
CLAIM = "Int8 weight-only quantization makes perplexity NaN"
EXPERIMENT = (
    "TorchAO's int8 weights were scored with float16 activations, where NaN was reported, beside unquantized "
    "float16 weights and other formats; one NLL that is no number makes a method invalid."
)
THRESHOLD = (
    "on one corpus at least, in float16, an NLL of TorchAO's int8 weights of all layers is NaN or infinite, "
    "and none of unquantized weights is"
)
COMBINE = best
WORD, DTYPE = "torchao_int8", "float16"
SCORED = ("ok", INVALID)


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus that the float16 method scored, with whatever result."""
    for corpus in corpora(measurements):
        scored = _scored(measurements, corpus)
        for row in matching(using(scored, WORD), dtype=DTYPE).to_dict("records"):
            control = matching(scored, method=_control(row)).to_dict("records")
            beside = list(map(_sentence, control)) or [f"no unquantized {DTYPE} weights were scored"]
            yield Finding("; ".join([_sentence(row), *beside]), _verdict(row, control))


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """The same weights in another number format, and others in float16."""
    for corpus in corpora(measurements):
        rows = _scored(measurements, corpus)
        rows = rows[rows["quantization"] != PLAIN]
        twins = (rows["dtype"] != DTYPE) & (rows["quantization"] == WORD)
        others = (rows["dtype"] == DTYPE) & (rows["quantization"] != WORD)
        yield from (_sentence(row) for row in rows[twins | others].to_dict("records"))


def _verdict(row: dict, control: list[dict]) -> str:
    """A NaN that the unquantized weights have too is not the quantization's."""
    if not _overflows(row):
        return FAILS
    if not control:
        return NOT_MEASURED
    return FAILS if _overflows(control[0]) else HOLDS


def _overflows(row: dict) -> bool:
    return row["status"].startswith(INVALID)


def _control(row: dict) -> str:
    """The name of the method that differs from a row's in its weights alone."""
    return row["method"].replace(f"-{row['quantization']}", "")


def _scored(measurements: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """One row for each method that was scored: its perplexity, or the status that it has instead."""
    rows = single_stream(pooled(measurements, corpus, "perplexity"))
    return rows[rows["engine"].isna() & rows["status"].str.startswith(SCORED)]


def _sentence(row: dict) -> str:
    finite = f"perplexity {estimate(row)}, no NLL of these tokens was NaN or infinite"
    result = row["status"] if _overflows(row) else finite
    weights = "unquantized" if row["quantization"] == PLAIN else row["quantization"]
    return f"{weights} in {row['dtype']} on {row['corpus']} ({row['method']}): {result}"
