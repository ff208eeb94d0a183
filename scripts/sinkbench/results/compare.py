"""Two studies, row by row: what differs beyond the intervals.

The rule is statistics.differ, for rows as independent numbers: perplexities over the same tokens are not, so
that small differences of those go unsaid. A number without an interval has no spread to hide behind: it
differs if it is not equal but for rounding. A row with a number in one study and a failure in the other
differs, and so does a row that one of them lacks.
"""

from collections.abc import Iterator
from math import isclose

import pandas as pd

from sinkbench.results.provenance import COLUMNS
from sinkbench.results.schema import has_failed
from sinkbench.results.statistics import differ

# All other columns identify a row.
VALUES = ["study", "value", "low", "high", "n", "unit", "status", *COLUMNS]
SHOWN = ["value", "low", "high", "unit", "status"]
ROUNDING = 1e-9  # relative


def compare(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows that differ, and the number of rows that were compared.

    Args:
        first, second: measurements (workflow/schemas/measurements.schema.yaml).

    Returns:
        A table of where (what identifies a row), first, second (numbers with intervals, or statuses) and why.
    """
    keys = [name for name in first if name not in VALUES]
    sides = [frame.set_index(keys)[SHOWN].assign(failed=has_failed) for frame in (first, second)]
    for side in sides:
        side.index = pd.Index([_words(key) for key in side.index])
    names = list(dict.fromkeys([*sides[0].index, *sides[1].index]))
    found = list(_differences(names, *(side[~side.index.duplicated()].to_dict("index") for side in sides)))
    return pd.DataFrame(found, columns=["where", "first", "second", "why"]), len(names)


def _differences(names: list[str], first: dict, second: dict) -> Iterator[tuple]:
    for name in names:
        pair = first.get(name), second.get(name)
        if why := _why(*pair):
            yield name, *map(_shown, pair), why


def _why(first: dict | None, second: dict | None) -> str | None:
    """Why two rows differ; None if they do not."""
    if first is None or second is None:
        return f"only in the {'second' if first is None else 'first'}"
    failed = [row["failed"] for row in (first, second)]
    if any(failed):
        return None if all(failed) else f"failed in the {'first' if failed[0] else 'second'}"
    one, other = ((row["value"], row["low"], row["high"]) for row in (first, second))
    if isclose(one[0], other[0], rel_tol=ROUNDING) or not differ(one, other):
        return None
    return "lower in the second" if one[0] > other[0] else "higher in the second"


def _shown(row: dict | None) -> str:
    if row is None:
        return "-"
    if row["failed"]:
        return row["status"]
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.6g}, {row['high']:.6g}]"
    return f"{row['value']:.6g}{interval} {row['unit']}"


def _words(key: tuple) -> str:
    """What identifies a row, in one line."""
    return " ".join(
        f"{part:g}" if isinstance(part, float) else str(part) for part in key if not pd.isna(part)
    )
