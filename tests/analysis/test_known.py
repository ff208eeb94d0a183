"""Published figures beside a study's: over which tokens, what agrees, and why a figure was not measured."""

from math import exp, log

import numpy as np
import pandas as pd
import pytest
from helpers import CODE, ROOT
from plans import SOURCES, STATISTICS, method, outputs
from sinkbench.analysis.known import ANOTHER_MODEL, answer, verdict
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.report.formats import sheet
from sinkbench.report.tables import known
from sinkbench.results.aggregate import aggregate
from sinkbench.results.published import model_name, ranges
from sinkbench.results.schema import PENDING

SCHEMA = ROOT / "workflow/schemas/measurements.schema.yaml"
MODEL = {"source": "hub", "repo": "lab/model", "revision": "0" * 40}
ROW = {
    "model": "model",
    "text": "a book",
    "corpus": "c",
    "method": "full",
    "first": 1,
    "last": 16,
    "predictions": 16,
    "measure": "nll",
    "value": 7.5,
    "tolerance": 0.01,
    "source": "somebody",
}
UNAVAILABLE = "unavailable: no room"


def measured(folder, rows: list[dict], documents: dict[str, list[float]] | None = None, **statuses):
    """Measurements of methods "full", "even" (every other position) and those of `statuses` on corpus "c".

    Args:
        documents: NLLs by position; by default one whose NLL at position t is t.
    """
    documents = documents or {"d": list(range(16))}
    frame = pd.concat(
        pd.DataFrame({"document": name, "position": range(len(nll)), "nll": np.float32(nll)})
        for name, nll in documents.items()
    )
    tables = {"full": frame, "even": frame[frame.position % 2 == 0]} | dict.fromkeys(statuses, frame[:0])
    for name, table in tables.items():
        notes = {"stamp": name, "status": statuses.get(name, "ok"), "environment": {"device": "CPU"}}
        notes |= {"inputs": {}, "trained_tokens": 8, "skipped_documents": 0}
        write_table(folder / f"{name}.parquet", table, notes)
    stamps = {"quality": {f"{name}/c": {"stamp": name} for name in tables}}
    methods = {name: method(4) for name in tables}
    plan = {"study": "s", "methods": methods, "runs": {}, "stamps": stamps, "statistics": STATISTICS}
    plan |= {"code": CODE, "sources": SOURCES, "published": ranges(rows, MODEL)}
    paths = {"quality": [str(folder / f"{name}.parquet") for name in tables]}
    aggregate(plan, paths, SCHEMA, *outputs(folder))
    return read_table(folder / "out.parquet")[0]


def asked(folder, row: dict, *args, **statuses):
    """The answer to one row, and its verdict."""
    found = answer(row, model_name(MODEL), measured(folder, [row], *args, **statuses))
    return found, verdict(row, found)


@pytest.mark.parametrize(
    ("first", "last", "positions"),
    [(1, 1, [0]), (1, 4, range(4)), (5, 8, range(4, 8)), (8, 9, [7, 8]), (16, 16, [15]), (1, 16, range(16))],
)
def test_token_i_is_predicted_at_position_i_less_one(first, last, positions, tmp_path):
    """Whole blocks, parts of two, single tokens, and both ends of a document."""
    row = ROW | {"first": first, "last": last, "predictions": len(positions)}
    found, _ = asked(tmp_path, row)
    assert found.ours.value == pytest.approx(np.mean(positions))


def test_ranges_share_no_token_and_leave_none_out(tmp_path):
    rows = [ROW | {"first": first, "last": last} for first, last in ((1, 5), (6, 11), (12, 16))]
    frame = measured(tmp_path, rows)
    parts = frame[(frame.metric == "nll_range") & (frame.method == "full")]
    assert list(parts.n) == [5, 6, 5] and set(parts.position_kind) == {"range"}
    assert (parts.value * parts.n).sum() == pytest.approx(sum(range(16)))


def test_documents_are_pooled_token_by_token(tmp_path):
    row = ROW | {"first": 3, "last": 6, "predictions": 5}
    found, _ = asked(tmp_path, row, {"long": [0, 0, 1, 2, 3, 4, 0], "short": [0, 0, 9]})
    assert found.ours.value == pytest.approx((1 + 2 + 3 + 4 + 9) / 5)


VERDICTS = [  # ours 7.5 nats
    ({"value": 7.5}, "agrees"),
    ({"value": 7.51}, "agrees"),
    ({"value": 7.49}, "agrees"),
    ({"value": 7.4}, "differs by +0.1000 nats"),
    ({"value": 7.6}, "differs by \N{MINUS SIGN}0.1000 nats"),
    ({"value": 7.4899}, "differs by +0.0101 nats"),
    ({"value": 7.4, "tolerance": 0.11}, "agrees"),
]


@pytest.mark.parametrize(("change", "expected"), VERDICTS)
def test_an_nll_agrees_up_to_its_tolerance_in_nats(change, expected, tmp_path):
    assert asked(tmp_path, ROW | change)[1] == expected


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (20.0, "agrees"),
        (20.2, "agrees"),
        (19.8, "agrees"),
        (20.3, "differs by +1.50 %"),
        (19.7, "differs by \N{MINUS SIGN}1.50 %"),
        (20.202, "differs by +1.01 %"),
        (19.798, "differs by \N{MINUS SIGN}1.01 %"),
    ],
)
def test_a_perplexity_agrees_up_to_its_relative_tolerance(ours, expected, tmp_path, monkeypatch):
    row = ROW | {"measure": "perplexity", "value": 20.0}
    frame = measured(tmp_path, [row])
    frame.loc[frame.metric == "nll_range", ["value", "low", "high"]] = log(ours), log(19), log(21)
    found = answer(row, "model", frame)
    assert verdict(row, found) == expected
    assert (found.ours.value, *found.ours.bounds) == pytest.approx((ours, 19, 21))


def test_the_interval_decides_nothing(tmp_path):
    found, said = asked(tmp_path, ROW | {"value": 7.4})
    assert found.ours.low < 7.4 < found.ours.high and said.startswith("differs")


MISSING = [
    ({"model": "another"}, {}, ANOTHER_MODEL),
    ({"method": "none"}, {}, "This study does not score none on a corpus c."),
    ({"corpus": "b"}, {}, "This study does not score full on a corpus b."),
    ({"first": 17, "last": 20}, {}, "full scores none of these tokens of c."),
    ({"method": "even"}, {}, "The method scores 8 predictions here, and the figure is of 16."),
    ({"last": 15}, {}, "The method scores 15 predictions here, and the figure is of 16."),
    ({"method": "lost"}, {"lost": UNAVAILABLE}, UNAVAILABLE),
    ({"method": "lost"}, {"lost": "failed: a fault"}, "failed: a fault"),
    ({"method": "lost"}, {"lost": "invalid: 1 NLLs are NaN"}, "invalid: 1 NLLs are NaN"),
    ({"method": "lost"}, {"lost": PENDING}, PENDING),
]


@pytest.mark.parametrize(("change", "statuses", "reason"), MISSING)
def test_what_was_not_measured_says_why(change, statuses, reason, tmp_path):
    found, said = asked(tmp_path, ROW | change, **statuses)
    assert (said, found.reason, found.ours, found.difference) == ("not measured here", reason, None, None)


@pytest.mark.parametrize("model", ["model", "another"])
def test_a_row_without_a_corpus_has_its_own_reason(model, tmp_path):
    row = {key: value for key, value in ROW.items() if key != "corpus"} | {
        "model": model,
        "why_not": "Nobody has the text.",
    }
    found, said = asked(tmp_path, row)
    assert (said, found.reason) == ("not measured here", "Nobody has the text.")


def test_a_method_that_failed_leaves_the_others_alone(tmp_path):
    assert asked(tmp_path, ROW, lost=UNAVAILABLE)[1] == "agrees"


def test_the_number_of_predictions_may_differ_by_a_percent(tmp_path):
    text = {"d": [1.0] * 200}
    row = ROW | {"last": 200, "value": 1.0}
    assert asked(tmp_path, row | {"predictions": 202}, text)[1] == "agrees"
    assert asked(tmp_path, row | {"predictions": 203}, text)[1] == "not measured here"
    assert asked(tmp_path, row | {"predictions": 198}, text)[1] == "not measured here"


def test_the_table_has_every_figure_and_its_own_model_first(tmp_path):
    own = ROW | {"measure": "perplexity", "value": round(exp(7.5), 2), "settings": "float16"}
    rows = [ROW | {"model": "another"}, own, ROW | {"value": 7.0}]
    fields = {"published": rows, "model_name": "model"}
    table = known.build(measured(tmp_path, rows), fields)
    assert list(table["Model"]) == ["model", "model", "another"]
    assert list(table["Verdict"]) == ["agrees", "differs by +0.5000 nats", "not measured here"]
    assert list(table["Difference"]) == ["+0.00 %", "+0.5000 nats", ""]
    assert list(table["Tolerance"]) == ["1.00 %", "0.0100 nats", "0.0100 nats"]
    assert table["Text"][0] == "a book; float16" and set(table["Tokens"]) == {"1 to 16"}
    assert [cell.number for cell in table["Published"]] == ["1808.04", "7", "7.5"]
    shown = sheet(table)
    assert shown.marks == ["", "", "1"] and shown.notes == [ANOTHER_MODEL]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"source": "hub", "repo": "lab/tiny-1.4b"}, "tiny-1.4b"),
        ({"source": "folder", "path": "/models/tiny-1.4b/"}, "tiny-1.4b"),
        ({"source": "package", "file": "some/tiny-1.4b.Q4_1.gguf"}, "tiny-1.4b.Q4_1"),
        ({"source": "gguf", "path": "~/tiny-1.4b.Q4_1.gguf"}, "tiny-1.4b.Q4_1"),
        ({"source": "random", "seed": 0}, ""),
    ],
)
def test_a_model_is_known_by_the_last_part_of_its_name(model, name):
    assert model_name(model) == name


def test_neither_the_order_of_rows_nor_other_models_change_what_is_measured():
    rows = [ROW | {"first": 5}, ROW, ROW | {"measure": "perplexity"}, ROW | {"model": "another", "last": 9}]
    assert ranges(rows, MODEL) == ranges(rows[::-1], MODEL) == {"full/c": [[1, 16], [5, 16]]}
    assert ranges(rows, {"source": "random"}) == {}
