"""The tidy table of measurements: one row per number, in the columns of workflow/schemas/measurements."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from sinkbench.errors import UserError, shown

DTYPES = {"integer": "Int64", "number": float, "boolean": "boolean", "string": "str"}  # of columns by type
PENDING = "not measured yet"  # the status of a number that is planned, in results shown before all are there
DISTURBED = "disturbed: "  # begins the status of a number that stands, but the device or host was busy


def has_failed(rows: pd.DataFrame) -> pd.Series:
    """Which rows stand for a number that could not be had; a disturbed number is one."""
    return (rows["status"] != "ok") & ~rows["status"].astype(str).str.startswith(DISTURBED)


class RowRecorder:
    """Collects rows; units come from the schema, so that a metric has one unit everywhere."""

    def __init__(self, schema: dict):
        self.schema, self.rows = schema, []

    def add(self, about: dict, metric: str, value, low=None, high=None, n=None, **where) -> None:
        """One number. `about` and `where` fill the columns that say what was measured."""
        unit = self.schema["metrics"][metric]["unit"]
        numbers = {"metric": metric, "value": value, "low": low, "high": high, "unit": unit, "n": n}
        self.rows.append({"status": "ok", **about, **where, **numbers})

    def frame(self) -> pd.DataFrame:
        """All rows, validated, every column of the schema present."""
        frame = pd.DataFrame(self.rows).reindex(columns=list(self.schema["columns"]))
        for name, column in self.schema["columns"].items():
            if column["type"] in DTYPES:
                frame[name] = frame[name].astype(DTYPES[column["type"]])
        validate(frame, self.schema)
        return frame


def load_schema(path: str | Path) -> dict:
    """The schema of measurements: {"columns": ..., "metrics": ...}."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def validate(frame: pd.DataFrame, schema: dict) -> None:
    """Raise UserError unless `frame` has the schema's columns, types and metrics, and finite numbers."""
    if list(frame.columns) != list(schema["columns"]):
        raise UserError(f"measurements: columns are {list(frame.columns)}, not {list(schema['columns'])}")
    for name, column in schema["columns"].items():
        values = frame[name].dropna()
        if len(values) < len(frame) and not column.get("nullable"):
            raise UserError(f"measurements: column {name} has empty cells")
        _check_type(name, values, column["type"])
    unknown = set(frame["metric"]) - set(schema["metrics"])
    if unknown:
        raise UserError(f"measurements: unknown metric {', '.join(sorted(unknown))}")
    if not np.isfinite(frame[~has_failed(frame)]["value"]).all():
        raise UserError("measurements: a number is NaN or infinite although its status says that it stands")


def _check_type(name: str, values: pd.Series, kind: str) -> None:
    checks = {
        "string": lambda value: isinstance(value, str),
        "integer": lambda value: float(value).is_integer(),
        "number": lambda value: isinstance(float(value), float),
        "boolean": lambda value: value in (True, False),
    }
    wrong = [value for value in values if not checks[kind](value)]
    if wrong:
        raise UserError(f"measurements: column {name}: {shown(wrong[0])} is not of type {kind}")
