"""What a run says when it ends, and when it has failed as a whole."""

import os

import pandas as pd
import pytest
from sinkbench.artifacts.parquet import write_table
from sinkbench.study.ending import missing, mistakes, nothing_measured
from sinkbench.study.ending import statuses as seen


class Planned:
    """A study of two perplexities and two timings."""

    def measuring_jobs(self):
        names = [("nll", "a/c"), ("nll", "b/c"), ("speed", "a.eager"), ("speed", "b.eager")]
        yield from ((folder, name, {}) for folder, name in names)


@pytest.fixture
def ended(tmp_path):
    def write(**statuses):
        """Results by name, dots and slashes as underscores."""
        for folder, name, _ in Planned().measuring_jobs():
            if status := statuses.get(name.replace("/", "_").replace(".", "_")):
                write_table(tmp_path / folder / f"{name}.parquet", pd.DataFrame(), {"status": status})
        found = seen(Planned(), tmp_path)
        return missing(found, tmp_path / "logs"), nothing_measured(found)

    return write


def test_a_run_with_all_its_numbers_says_nothing(ended):
    assert ended(a_c="ok", b_c="ok", a_eager="ok", b_eager="ok") == ([], None)
    assert ended() == ([], None)


def test_reasons_are_counted_with_an_example_and_its_log(ended, tmp_path):
    lines, failed = ended(a_c="ok", b_c="failed: x", a_eager="unavailable: no GPU", b_eager="ok")
    assert lines == [
        "2 of 4 results have no number; what failed is tried again by the next run:",
        f"  1: failed: x (such as {tmp_path}/logs/nll/b/c.log)",
        f"  1: unavailable: no GPU (such as {tmp_path}/logs/speed/a.eager.log)",
    ]
    assert failed is None


@pytest.mark.parametrize("status", ["failed: x", "unavailable: x", "invalid: x"])
def test_a_kind_without_a_number_fails_the_run(ended, status):
    lines, failed = ended(a_c="ok", a_eager=status, b_eager=status)
    assert failed == "no timing could be measured"
    assert lines[0].startswith("2 of 3 results have no number") and lines[1].startswith(
        f"  2: {status} (such"
    )
    assert ended(a_c=status, b_c=status)[1] == "no perplexity and no timing could be measured"


def test_mistakes_are_the_last_lines_of_new_logs(tmp_path):
    for name, text in {
        "new": "x\nerror: a: b\n",
        "old": "error: c\n",
        "fine": "error: d\nlast\n",
        "none": "",
    }.items():
        (tmp_path / f"{name}.log").write_text(text)
    os.utime(tmp_path / "old.log", (1, 1))
    assert mistakes(sorted(tmp_path.glob("*.log")), since=2) == [f"error: a: b ({tmp_path}/new.log)"]
