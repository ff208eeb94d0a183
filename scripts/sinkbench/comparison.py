"""Two studies, row by row: what differs beyond the intervals.

The rule. Two numbers with intervals differ if the intervals do not overlap (for two intervals of 95 % this
errs on the side of silence: the true level is near 99 %). A number without one has no spread to hide behind:
it differs if it is not equal but for rounding. A row with a number in one study and a failure in the other
differs, and so does a row that one of them lacks.
"""

from collections.abc import Iterator

import pandas as pd

from sinkbench.measurements import has_failed

VALUES = (
    "study",
    "device",
    "value",
    "low",
    "high",
    "n",
    "unit",
    "status",
)  # all other columns identify a row
ROUNDING = 1e-9  # relative


def compare(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows that differ, and the number of rows that were compared.

    Args:
        first, second: measurements (workflow/schemas/measurements.schema.yaml).

    Returns:
        A table of where (what identifies a row), first, second (numbers with intervals, or statuses) and why.
    """
    keys = [name for name in first if name not in VALUES]
    sides = [frame.set_index(keys)[list(VALUES)] for frame in (first, second)]
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
    failed = [_failed(row) for row in (first, second)]
    if any(failed):
        return None if all(failed) else f"failed in the {'first' if failed[0] else 'second'}"
    (low, high), (least, most) = _bounds(first), _bounds(second)
    room = ROUNDING * max(map(abs, (low, high, least, most)))
    if low > most + room:
        return "lower in the second"
    return "higher in the second" if least > high + room else None


def _failed(row: dict) -> bool:
    return bool(has_failed(pd.DataFrame([row])).iloc[0])


def _bounds(row: dict) -> tuple[float, float]:
    """The interval, or the number itself twice."""
    return tuple(row["value"] if pd.isna(row[end]) else row[end] for end in ("low", "high"))


def _shown(row: dict | None) -> str:
    if row is None:
        return "-"
    if _failed(row):
        return row["status"]
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.6g}, {row['high']:.6g}]"
    return f"{row['value']:.6g}{interval} {row['unit']}"


def _words(key: tuple) -> str:
    """What identifies a row, in one line."""
    return " ".join(
        f"{part:g}" if isinstance(part, float) else str(part) for part in key if not pd.isna(part)
    )
