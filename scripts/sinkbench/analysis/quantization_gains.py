"""What quantized weights gain in time, engine by engine, against the same method with unquantized ones."""

from collections.abc import Mapping

import pandas as pd

from sinkbench.analysis.select import at_common_point, matching, pick, run_name, single_stream

PLAIN = "none"


def gains(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows of `speedup` of quantized runs against their own unquantized twin, one per run.

    Raises:
        NotMeasured: the study has no speed-ups.
    """
    rows = quantized(pick(measurements, "speedup"))
    twins = [row["against"] == plain_run(row) for row in rows.to_dict("records")]
    return at_common_point(rows[pd.Series(twins, rows.index, dtype=bool)])


def quantized(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of single streams whose weights are quantized."""
    return single_stream(rows[rows["quantization"] != PLAIN])


def plain_run(row: Mapping) -> str:
    """The name of the run that differs from a row's in its weights alone."""
    return run_name({**row, "method": plain_method(row)})


def plain_method(row: Mapping) -> str:
    """The name of the method that differs from a row's in its weights alone."""
    return row["method"].removesuffix(f"-{row['quantization']}")


def using(rows: pd.DataFrame, *words: str) -> pd.DataFrame:
    """Rows whose quantization is one of `words`."""
    return rows[rows["quantization"].isin(words)]


def pooled(measurements: pd.DataFrame, corpus: str, metric: str) -> pd.DataFrame:
    """Rows of a metric of quality on one corpus, all documents together."""
    rows = matching(measurements, metric=metric, corpus=corpus)
    return rows[rows["document"].isna()]
