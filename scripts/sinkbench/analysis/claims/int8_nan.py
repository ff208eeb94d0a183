"""Int8 weights give NaN: float16 products overflow before they are scaled."""

from collections.abc import Iterator

import pandas as pd

from sinkbench.analysis.claims import FAILS, HOLDS, Finding
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.quantization_gains import pooled, quantized, using
from sinkbench.analysis.select import corpora

TECHNIQUE = "Quantization"
CLAIM = "Int8 weight-only quantization makes perplexity NaN"
EXPERIMENT = (
    "TorchAO's int8 weights were scored with float16 activations, where NaN was reported, and beside them in "
    "this study's own number format; one NLL that is no number makes a method invalid."
)
THRESHOLD = "in float16 at least one NLL of TorchAO's int8 weights of all layers is NaN or infinite"
WORD, DTYPE = "torchao_int8", "float16"
INVALID = "invalid"  # begins the status of a method with a NaN or an infinity


def findings(measurements: pd.DataFrame) -> Iterator[Finding]:
    """One per corpus that the float16 method scored, with whatever result."""
    for corpus in corpora(measurements):
        for row in using(_methods(measurements, corpus), WORD).to_dict("records"):
            if row["dtype"] == DTYPE and row["status"].startswith(("ok", INVALID)):
                overflows = row["status"].startswith(INVALID)
                yield Finding(_sentence(row), HOLDS if overflows else FAILS)


def cause(measurements: pd.DataFrame) -> Iterator[str]:
    """The same weights in another number format, and others in float16."""
    for corpus in corpora(measurements):
        rows = _methods(measurements, corpus)
        twins = (rows["dtype"] != DTYPE) & (rows["quantization"] == WORD)
        others = (rows["dtype"] == DTYPE) & (rows["quantization"] != WORD)
        yield from (_sentence(row) for row in rows[twins | others].to_dict("records"))


def _methods(measurements: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """One row for each quantized method: its perplexity, or the status that it has instead."""
    rows = pooled(quantized(measurements), corpus, "perplexity")
    return rows[rows["engine"].isna()]


def _sentence(row: dict) -> str:
    finite = f"perplexity {estimate(row)}, nothing overflows with this model"
    result = finite if row["status"] == "ok" else row["status"]
    return f"{row['quantization']} in {row['dtype']} on {row['corpus']} ({row['method']}): {result}"
