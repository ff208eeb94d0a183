"""From recall jobs to rows: means and intervals over passages, lengths, and what is missing."""

import numpy as np
import pandas as pd
import pytest
from helpers import CODE, ROOT
from plans import SOURCES, STATISTICS, method, outputs
from sinkbench.analysis.recall import IN_PART, INSIDE, OUTSIDE, recalled
from sinkbench.analysis.select import failed_quality, status_warnings, usable
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.report.tables import recall
from sinkbench.results.aggregate import aggregate
from sinkbench.results.statistics import Bootstrap

SCHEMA = ROOT / "workflow/schemas/measurements.schema.yaml"
TOO_SHORT = "text too short: 40 tokens, needs 98"
NLL = {8: [1.0, 1.5, 1.0], 11: [2.0, 2.5, 1.5], 14: [3.0, 3.0, 2.5]}  # of three passages, by distance
CONTROL = 3.0


def aggregated(folder, **statuses: str) -> pd.DataFrame:
    """Two methods, of a window of 8 tokens and of none, with these statuses of their recall jobs."""
    methods = {"ring": method(8), "all": method(None)}
    passages = [
        {"distance": distance, "document": "d", "start": 10 * index, "nll": nll, "control_nll": CONTROL}
        for distance, each in NLL.items()
        for index, nll in enumerate(each)
    ]
    lengths = {"context_tokens": 4, "passage_tokens": 4, "trained_tokens": 19}
    for name in methods:
        status = statuses.get(name, "ok")
        notes = {"stamp": name, "status": status, "environment": {"device": "CPU"}, "inputs": {}}
        notes |= lengths | {"missing": [[90, TOO_SHORT]]} if status == "ok" else {}
        write_table(folder / f"{name}.parquet", pd.DataFrame(passages if status == "ok" else []), notes)
    stamps = {"recall": {name: {"stamp": name} for name in methods}}
    plan = {"study": "s", "methods": methods, "runs": {}, "stamps": stamps, "statistics": STATISTICS}
    plan |= {"code": CODE, "sources": SOURCES, "recalled_on": "c"}
    paths = {"recall": [str(folder / f"{name}.parquet") for name in methods]}
    aggregate(plan, paths, SCHEMA, *outputs(folder))
    return read_table(folder / "out.parquet")[0]


def test_saved_nats_are_means_over_passages_with_their_interval(tmp_path):
    frame = aggregated(tmp_path)
    own = frame[(frame.method == "ring") & (frame.metric == "recall_saved")].set_index("position")
    saved = CONTROL - np.array(NLL[8])
    assert own.value[8] == pytest.approx(saved.mean()) and own.n[8] == len(saved)
    each = pd.DataFrame({"document": ["a", "b", "c"], "position": 0, "saved": saved})  # a block of its own
    assert (own.low[8], own.high[8]) == pytest.approx(Bootstrap(STATISTICS).mean(each, "saved")[1:])
    assert set(own.corpus) == {"c"} and set(own.position_kind) == {"distance"}
    controls = frame[frame.metric == "recall_control"]
    assert len(controls) == 2 * len(NLL) and (controls.value == CONTROL).all()


def test_what_is_seen_of_a_passage_is_said_by_the_window_and_its_length(tmp_path):
    """At 8 tokens the ring sees what it repeats; of what lies 11 back its first query sees the end."""
    rows = recalled(aggregated(tmp_path))
    seen = {name: part.set_index("position").seen.to_dict() for name, part in rows.groupby("method")}
    assert seen["ring"] == {8: INSIDE, 11: IN_PART, 14: OUTSIDE}
    assert set(seen["all"].values()) == {INSIDE}
    assert rows.set_index("position").is_trained.groupby("position").all().to_dict() == {
        8: True,
        11: True,
        14: False,
    }


def test_a_missing_distance_has_its_reason_and_takes_nothing_from_the_rest(tmp_path):
    frame = aggregated(tmp_path)
    missing = frame[frame.position == 90]
    assert set(missing.status) == {f"unavailable: {TOO_SHORT}"} and missing.value.isna().all()
    assert len(usable(frame)) == len(frame) - len(missing)
    assert failed_quality(frame).empty and status_warnings(frame, None) == []
    table = recall.build(frame, {})
    own = table[table["Method"] == "ring"]
    assert [str(cell) for cell in own["Distance [tokens]"]] == ["8", "11", "14", "90"]
    assert list(own["Inside the window"]) == ["yes", "in part", "no", ""]
    assert list(own["Status"]) == ["", "", "", f"unavailable: {TOO_SHORT}"]
    assert list(table[table["Method"] == "all"]["Inside the window"])[2] == "yes, untrained"


def test_a_failed_job_is_a_row_with_its_status(tmp_path):
    frame = aggregated(tmp_path, all="invalid: NaN")
    assert set(recalled(frame).method) == {"ring"}
    table = recall.build(frame, {})
    (row,) = table[table["Method"] == "all"].to_dict("records")
    assert (row["Status"], row["Distance [tokens]"]) == ("invalid: NaN", "")
    table = recall.build(aggregated(tmp_path, all="invalid: NaN", ring="failed: x"), {})
    assert list(table["Status"]) == ["failed: x", "invalid: NaN"]
