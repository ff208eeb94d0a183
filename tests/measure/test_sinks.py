"""The job on sinks: its shares, the texts that it reads, its rows, and the tables of them."""

import numpy as np
import pandas as pd
import pytest
import synthetic
import torch
from helpers import CODE, FIXTURES
from plans import SOURCES, STATISTICS, method, outputs
from sinkbench.artifacts.fingerprint import stamp_of
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.sink_shares import attention_to_first
from sinkbench.measure.sinks import COLUMNS, measure
from sinkbench.model.loading import load_model
from sinkbench.quantization.table import format_row
from sinkbench.report.tables import sink_shares, sinks
from sinkbench.results.aggregate import aggregate
from sinkbench.text.tokens import load_documents, tokenize
from tiny_texts import token_settings

MODEL = {"source": "folder", "path": str(FIXTURES / "neox-tiny"), "dtype": "float32"}
TEXTS = {"a": "some text of forty-two tokens, one a byte.", "b": "x" * 90, "c": "too short for it"}
TOKENS = 40


def job(folder, tokens: int = TOKENS) -> tuple[dict, str]:
    """Settings of a job over TEXTS, and its token file."""
    texts, path = token_settings(folder / "in", TEXTS), str(folder / "tokens.parquet")
    tokenize(texts, path, str(folder / "tokens.json"))
    settings = {"label": "sinks dense", "model": MODEL, "device": "cpu", "chunk_tokens": 16}
    settings |= {"quantization": format_row("none"), "tokens": texts, "code": CODE}
    return settings | {"sink_shares": {"tokens": tokens}}, path


def test_shares_are_means_over_the_documents_that_are_long_enough(tmp_path):
    settings, path = job(tmp_path)
    measure(settings, path, str(tmp_path / "out.parquet"))
    frame, notes = read_table(tmp_path / "out.parquet")
    assert (notes["status"], notes["documents"], notes["text_tokens"]) == ("ok", 2, TOKENS)
    documents = load_documents(path, settings["tokens"])
    evaluator = Evaluator(load_model(MODEL, "cpu"), 64)
    each = [attention_to_first(evaluator, torch.from_numpy(documents[name][:TOKENS])) for name in "ab"]
    expected = torch.stack(each).mean(0).numpy()
    found = frame.pivot_table(index=["layer", "head"], columns="first", values="share").to_numpy()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6)
    assert list(frame) == COLUMNS


def test_texts_that_are_all_too_short_leave_a_status(tmp_path):
    settings, path = job(tmp_path, 91)
    measure(settings, path, str(tmp_path / "out.parquet"))
    frame, notes = read_table(tmp_path / "out.parquet")
    assert frame.empty and notes["status"] == "unavailable: text too short: 90 tokens, needs 91"


def test_rows_are_of_layers_over_their_heads(tmp_path):
    settings, path = job(tmp_path)
    measure(settings, path, str(tmp_path / "dense.parquet"))
    shares, _ = read_table(tmp_path / "dense.parquet")
    stamps = {"sinks": {"dense": stamp_of(settings)}}
    plan = {"study": "s", "methods": {"dense": method(None)}, "runs": {}, "stamps": stamps, "code": CODE}
    plan |= {"statistics": STATISTICS, "sources": SOURCES, "observed_on": "c"}
    schema = synthetic.SCHEMA
    aggregate(plan, {"sinks": [str(tmp_path / "dense.parquet")]}, schema, *outputs(tmp_path))
    frame = read_table(tmp_path / "out.parquet")[0]
    for (layer, first), heads in shares.groupby(["layer", "first"]).share:
        own = frame[(frame.layer == layer) & (frame.position == first)].set_index("metric")
        assert own.value.to_dict() == pytest.approx(
            {
                "sink_share_min": heads.min(),
                "sink_share_median": heads.median(),
                "sink_share_max": heads.max(),
            }
        )
        assert set(own.n) == {len(heads)} and set(own.position_kind) == {"first"}


def numbers(table: pd.DataFrame, heading: str) -> list[float]:
    return [cell.value if cell else None for cell in table[heading]]


def test_the_table_of_layers_has_the_heads_ends_and_middle():
    table = sink_shares.build(synthetic.measurements(), {})
    assert numbers(table, "Layer") == [0, 1, 2]
    assert numbers(table, "first token, median [%]") == pytest.approx([2, 40, 60])
    assert numbers(table, "first 4, least [%]") == pytest.approx([3.5, 22.5, 32])
    assert numbers(table, "first 4, most [%]") == pytest.approx([9.1, 58.5, 83.2])


def test_sinks_stand_beside_the_perplexity_of_caches_that_keep_so_many():
    frame = synthetic.measurements()
    two = frame[(frame["method"] == "streaming-4+252") & (frame["metric"] == "perplexity")]
    frame = pd.concat([frame, two.assign(method="streaming-2+254", sinks=2, value=15.0)], ignore_index=True)
    table = sinks.build(frame, {})
    assert numbers(table, "First tokens") == [0, 1, 2, 4, 8]
    assert numbers(table, "Perplexity on stdlib at 256 tokens") == [15.6, None, 15.0, 14.48, None]
    assert numbers(table, "Attention, median layer [%]") == [None, *map(pytest.approx, (40, 42, 45, 50))]
    assert numbers(table, "Attention, most layer [%]")[1] == pytest.approx(60)


def test_without_shares_the_perplexities_stand_alone():
    frame = synthetic.measurements()
    frame = frame[~frame["metric"].str.startswith("sink_share")]
    assert sink_shares.build(frame, {}).empty
    assert numbers(sinks.build(frame, {}), "First tokens") == [0, 4]
