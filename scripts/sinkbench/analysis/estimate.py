"""A number of a table or a sentence: the value, its interval, how it is written, and what it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from sinkbench.analysis.select import is_disturbed

# The mark of a number that was measured while something else was at work, and what captions say of it.
DAGGER = "\N{DAGGER}"
DAGGER_NOTE = (
    "Dagger: something disturbed the device or its host meanwhile; a speed-up has it from either of its runs."
)


@dataclass(frozen=True)
class Estimate:
    """A measured number.

    value, low, high share a unit: that of the column's heading, or `unit` in a sentence. `spec` is a format
    specification such as "+z.1f"; `note` says what the number is against, or where it was measured;
    `mark` is a dagger if something disturbed the device or its host meanwhile; `change` is how far the
    number is from a baseline's.
    """

    value: float
    low: float | None = None
    high: float | None = None
    spec: str = "z.2f"
    note: str = ""
    unit: str = ""
    mark: str = ""
    change: "Estimate | None" = None

    @property
    def number(self) -> str:
        """The value alone, with its mark."""
        return _minus(format(self.value, self.spec)) + self.mark

    @property
    def interval(self) -> str:
        """The interval in square brackets, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{_minus(format(self.low, self.spec))}, {_minus(format(self.high, self.spec))}]"

    @property
    def below(self) -> dict[str, str]:
        """What a table shows below the number, by its kind, from top to bottom."""
        lines = {"interval": self.interval, "note": self.note, "change": str(self.change or "")}
        return {kind: text for kind, text in lines.items() if text}

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high); the value itself where it has no interval."""
        return (self.value if end is None else end for end in (self.low, self.high))

    def __str__(self) -> str:
        return " ".join(filter(None, (self.number, self.unit, *self.below.values())))


def estimate(row: Mapping, spec: str = "z.2f", scale: float = 1, note: str = "", unit: str = "") -> Estimate:
    """The number of one row of measurements, times `scale`."""
    low, high = (None if pd.isna(row[end]) else scale * row[end] for end in ("low", "high"))
    mark = DAGGER if is_disturbed(row) else ""
    return Estimate(scale * row["value"], low, high, spec, note, unit, mark)


def exact(value: float) -> Estimate:
    """A number that was not measured, and is what it is."""
    return Estimate(value, value, value)


def ratio(above: Estimate, below: Estimate) -> Estimate:
    """above / below for positive numbers; the interval joins the far ends of both, so it is cautious.

    Without the interval of one it has none.
    """
    ends = (None, None)
    if above.interval and below.interval:
        ends = above.low / below.high, above.high / below.low
    return Estimate(above.value / below.value, *ends, mark=above.mark or below.mark)


def product(first: Estimate, second: Estimate) -> Estimate:
    """first x second for positive numbers; as cautious as `ratio`."""
    ends = (None, None)
    if first.interval and second.interval:
        ends = first.low * second.low, first.high * second.high
    return Estimate(first.value * second.value, *ends, mark=first.mark or second.mark)


def percent_change(factor: Estimate, note: str = "") -> Estimate:
    """A ratio of 1.02 as +2 %."""
    numbers = (factor.value, factor.low, factor.high)
    change, low, high = (None if number is None else 100 * (number - 1) for number in numbers)
    return Estimate(change, low, high, "+z.2f", note, "%", factor.mark)


def without_empty_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Only columns that some row fills: a study has no column for what it does not measure."""
    filled = [column for column in table if any(isinstance(cell, Estimate) or cell for cell in table[column])]
    return table[filled]


def _minus(number: str) -> str:
    """A true minus sign, which is as wide as the plus sign."""
    return number.replace("-", "\N{MINUS SIGN}", 1) if number.startswith("-") else number
