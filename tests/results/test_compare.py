"""What two studies measured differently, by the stated rule."""

import subprocess
import sys

import pandas as pd
import pytest
from helpers import ROOT
from sinkbench.artifacts.parquet import write_table
from sinkbench.results.compare import compare
from sinkbench.results.provenance import differences
from synthetic import measurements


@pytest.fixture
def frame():
    return measurements(ladder=True)


def moved(frame: pd.DataFrame, row: int, by: float, half_width: float | None) -> pd.DataFrame:
    """A copy in which one number has moved, with an interval of this half width around it (or none)."""
    copy = frame.copy()
    value = copy.loc[row, "value"] + by
    ends = (None, None) if half_width is None else (value - half_width, value + half_width)
    copy.loc[row, ["value", "low", "high"]] = [value, *ends]
    return copy


def why(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    return list(compare(first, second)[0]["why"])


def test_a_study_does_not_differ_from_itself_on_another_device_and_day(frame):
    found, compared = compare(frame, frame.assign(study="other", device="another"))
    assert found.empty
    assert compared == len(frame)


@pytest.mark.parametrize(
    ("by", "half_width", "expected"),
    [
        (1.4, 1, []),
        (1.43, 1, ["higher in the second"]),  # by more than the root of 1 + 1, though the intervals overlap
        (-1.43, 1, ["lower in the second"]),
        (1e-13, None, []),  # numbers without intervals: rounding is no difference, all else is
        (1e-3, None, ["higher in the second"]),
    ],
)
def test_numbers_differ_by_more_than_the_interval_of_their_difference(frame, by, half_width, expected):
    row = frame.index[frame["metric"] == "perplexity"][0]
    assert why(moved(frame, row, 0, half_width), moved(frame, row, by, half_width)) == expected


def test_rows_that_only_one_study_has_and_failures_differ(frame):
    row = frame.index[frame["metric"] == "tpot_ms"][0]
    failed = frame.copy()
    failed.loc[row, ["value", "low", "high"]] = None
    failed.loc[row, "status"] = "failed: KeyError: 'x'"
    assert why(frame, frame.drop(index=row)) == ["only in the first"]
    assert why(frame.drop(index=row), frame) == ["only in the second"]
    assert why(frame, failed) == ["failed in the second"]
    assert why(failed, failed) == []
    (found,) = compare(frame, failed)[0].to_dict("records")
    assert found["second"] == "failed: KeyError: 'x'"
    assert frame.loc[row, "method"] in found["where"] and "tpot_ms" in found["where"]


def test_what_the_studies_were_made_with_is_said_where_it_differs(frame, tmp_path):
    later = frame.assign(commit="beef", versions="python 3.12.3, torch 2.14.0, numpy 2.0.0", dirty=True)
    assert list(differences(frame, later)) == [
        ("commit", "c0ffee", "beef"),
        ("dirty", "False", "True"),
        ("versions", "torch 2.13.0", "torch 2.14.0, numpy 2.0.0"),
    ]
    assert list(differences(frame, frame)) == []
    older = frame.drop(columns=["commit", "draft_sha256"])  # of before rows said it
    assert list(differences(older, frame)) == [("commit", "-", "c0ffee")]
    for name, content in {"a": frame, "b": later}.items():
        write_table(tmp_path / name / "measurements.parquet", content, {"study": name})
    command = [sys.executable, str(ROOT / "scripts/compare_studies.py"), "a", "b"]
    same = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert same.returncode == 0
    assert "made with another commit: c0ffee | beef\n" in same.stdout


def test_the_command_prints_what_differs_and_its_count(frame, tmp_path):
    row = frame.index[frame["metric"] == "perplexity"][0]
    for name, content in {"a": frame, "b": moved(frame, row, 500, 1)}.items():
        write_table(tmp_path / name / "measurements.parquet", content, {"study": name})
    command = [sys.executable, str(ROOT / "scripts/compare_studies.py")]
    differing = subprocess.run([*command, "a", "b"], cwd=tmp_path, capture_output=True, text=True)
    assert differing.returncode == 1
    assert differing.stdout.endswith(f"1 of {len(frame)} rows differ beyond their intervals\n")
    assert subprocess.run([*command, "a", "a"], cwd=tmp_path, capture_output=True).returncode == 0
    missing = subprocess.run([*command, "a", "c"], cwd=tmp_path, capture_output=True, text=True)
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: c/measurements.parquet: not a readable result")
