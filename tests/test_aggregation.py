"""From job files to the table: right numbers, right pairs, nothing from an invalid run."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sinkbench.aggregation import aggregate
from sinkbench.errors import UserError
from sinkbench.store import read_table, write_table

SCHEMA = ROOT / "workflow/schemas/measurements.schema.yaml"
STATISTICS = {"block_tokens": 4, "resamples": 100, "confidence": 0.9, "seed": 0, "position_bin": 8}


def method(budget: int | None, against: str | None = None) -> dict:
    shape = {"budget": budget, "sinks": None if budget is None else 0}
    about = {"family": "baseline", "policy": "p", "dtype": "float32", "quantization": "none"}
    return about | shape | {"perplexity_against": against}


@pytest.fixture
def files(tmp_path):
    """Three methods over one corpus: one scores all 16 positions, one samples two, one is capped at 8."""
    generator = np.random.default_rng(0)
    nll = generator.random(16).astype("float32")
    positions = {"full": range(16), "sampled": [9, 13], "capped": range(8)}
    for name, scored in positions.items():
        scored = list(scored)
        shift = {"full": 0.0, "sampled": -0.1, "capped": 0.3}[name]
        frame = pd.DataFrame({"document": "d", "position": scored, "nll": nll[scored] + np.float32(shift)})
        notes = {"stamp": name, "status": "ok", "environment": {"device": "CPU"}}
        write_table(tmp_path / f"{name}.parquet", frame, notes)
    return tmp_path


def run(files) -> pd.DataFrame:
    methods = {"full": method(4, "sampled"), "sampled": method(4), "capped": method(None, "full")}
    stamps = {"quality": {f"{name}/c": name for name in methods}, "speed": {}}
    plan = {"study": "s", "methods": methods, "runs": {}, "stamps": stamps, "statistics": STATISTICS}
    paths = [str(files / f"{name}.parquet") for name in methods]
    aggregate(plan, paths, [], SCHEMA, files / "out.parquet", files / "out.csv")
    return read_table(files / "out.parquet")[0]


def value(frame: pd.DataFrame, method: str, metric: str) -> float:
    rows = frame[(frame.method == method) & (frame.metric == metric) & frame.document.isna()]
    assert len(rows) == 1
    return float(rows.value.iloc[0])


def test_perplexities_changes_and_pairs(files):
    frame = run(files)
    nll = read_table(files / "full.parquet")[0].nll.astype(float)
    assert value(frame, "full", "perplexity") == pytest.approx(np.exp(nll.mean()))
    assert value(frame, "full", "perplexity_paired") == pytest.approx(np.exp(nll[[9, 13]].mean()))
    assert value(frame, "full", "perplexity_change") == pytest.approx(100 * (np.exp(0.1) - 1), rel=1e-5)
    assert value(frame, "capped", "perplexity_change") == pytest.approx(100 * (np.exp(0.3) - 1), rel=1e-5)
    assert "perplexity_paired" not in set(frame[frame.method == "capped"].metric)
    bins = frame[(frame.method == "full") & (frame.metric == "perplexity_bin")].set_index("position")
    assert float(bins.value[8]) == pytest.approx(np.exp(nll[8:].mean()))


def test_an_invalid_run_has_a_status_and_no_number(files):
    table, notes = read_table(files / "full.parquet")
    write_table(files / "full.parquet", table.iloc[:0], notes | {"status": "invalid: NaN"})
    frame = run(files)
    rows = frame[frame.method == "full"]
    assert set(rows.status) == {"invalid: NaN"}
    assert rows.value.isna().all()
    assert "perplexity_change" not in set(frame[frame.method == "capped"].metric)


def test_another_stamp_is_refused(files):
    table, notes = read_table(files / "full.parquet")
    write_table(files / "full.parquet", table, notes | {"stamp": "older"})
    with pytest.raises(UserError, match=r"full\.parquet: made with another config or other code"):
        run(files)
