"""Recall jobs: exact NLLs of repeated passages, nothing from out of reach, and what cannot be measured."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import CODE, FIXTURES
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.measure.recall import measure
from sinkbench.model.loading import load_model
from sinkbench.policies.streaming import Policy as Streaming
from sinkbench.quantization.table import format_row
from sinkbench.text.tokens import load_documents, tokenize
from tiny_texts import token_settings

MODEL = {"source": "folder", "path": str(FIXTURES / "neox-tiny"), "dtype": "float32"}
LAYERS, TOKENS = 3, 6
TEXT = "".join(chr(97 + index * index % 23) + chr(97 + index * 7 % 26) for index in range(200))
WANTED = {"distances": [8, 60], "passage_tokens": TOKENS, "passages": 5, "seed": 0}
ROUNDING = 2e-5  # nats, of a mean in float32


def recall(folder: Path, policy: str, options: dict, model: dict = MODEL, **wanted):
    """Table, notes and documents of one job over texts of one token a byte."""
    tokens = token_settings(folder / "in", {"a": TEXT, "b": TEXT[100:300], "c": "short"})
    tokenize(tokens, str(folder / "tokens.parquet"), str(folder / "tokens.json"))
    settings = {"label": f"recall {policy}", "model": model, "device": "cpu", "policy": policy}
    settings |= {"options": options, "quantization": format_row("none"), "chunk_tokens": 16}
    settings |= {"tokens": tokens, "code": CODE, "recall": WANTED | wanted}
    measure(settings, str(folder / "tokens.parquet"), str(folder / "out.parquet"))
    return *read_table(folder / "out.parquet"), load_documents(str(folder / "tokens.parquet"), tokens)


def by_hand(row: pd.Series, ids: torch.Tensor, first: int) -> torch.Tensor:
    """The text of a row; `first` is where in the document its first passage begins."""
    filler = ids[row.start + 2 * TOKENS :][: row.distance - TOKENS]
    again = ids[row.start :][:TOKENS]
    return torch.cat((ids[:TOKENS], ids[first:][:TOKENS], filler, again))


@pytest.mark.parametrize("sinks", [0, 2])
def test_saved_nats_are_those_of_the_exact_evaluator(sinks, tmp_path):
    frame, notes, documents = recall(tmp_path, "streaming", {"budget": 20, "sinks": sinks})
    assert (notes["status"], notes["missing"]) == ("ok", [])
    assert (notes["context_tokens"], notes["passage_tokens"], notes["trained_tokens"]) == (6, 6, 64)
    assert frame.groupby("distance").size().to_dict() == {8: 5, 60: 5}
    evaluator = Evaluator(load_model(MODEL, "cpu"), 64)
    for row in frame.itertuples():
        ids = torch.from_numpy(documents[row.document])
        for column, first in (("nll", row.start), ("control_nll", row.start + TOKENS)):
            nll = evaluator.stream(by_hand(row, ids, first), Streaming(20, sinks).visibility(0))
            assert getattr(row, column) == pytest.approx(float(nll[-TOKENS:].mean()), abs=ROUNDING)


def test_nothing_is_saved_from_out_of_reach_and_something_from_within(tmp_path):
    """Through each layer a query of a window of W reaches W tokens further."""
    window, far = 10, 60
    assert far > LAYERS * window + TOKENS
    frame, _, _ = recall(tmp_path, "window", {"budget": window}, distances=[8, far])
    saved = (frame.control_nll - frame.nll).abs().groupby(frame.distance).max()
    assert saved[far] < ROUNDING and saved[8] > 100 * ROUNDING


def test_all_methods_read_the_same_passages(tmp_path):
    frames = [
        recall(tmp_path / policy, policy, options)[0]
        for policy, options in (("window", {"budget": 9}), ("dense", {"max_tokens": 40}))
    ]
    places = [frame[frame.distance == 8][["document", "start"]].values.tolist() for frame in frames]
    assert places[0] == places[1]


def test_a_distance_that_cannot_be_measured_is_one_line_and_a_note(tmp_path, capsys):
    frame, notes, _ = recall(tmp_path, "dense", {"max_tokens": 72}, distances=[8, 60, 61, 900])
    assert notes["status"] == "ok" and set(frame.distance) == {8, 60}
    why = {
        61: "a text of 73 tokens is more than the method scores",
        900: "text too short: 400 tokens, needs 912",
    }
    assert notes["missing"] == [[distance, reason] for distance, reason in why.items()]
    said = [f"NOTHING MEASURED recall dense at distance {far}: {reason}" for far, reason in why.items()]
    assert capsys.readouterr().out.splitlines() == said


def test_without_a_distance_the_job_has_a_status(tmp_path):
    frame, notes, _ = recall(tmp_path, "window", {"budget": 9}, distances=[900])
    assert frame.empty and notes["status"] == "unavailable: text too short: 400 tokens, needs 912"


def test_one_bad_weight_makes_the_run_invalid(tmp_path, capsys):
    shutil.copytree(FIXTURES / "neox-tiny", tmp_path / "model")
    tensors = load_file(tmp_path / "model/model.safetensors")
    tensors["gpt_neox.layers.0.mlp.dense_h_to_4h.bias"][0] = float("nan")
    save_file(tensors, tmp_path / "model/model.safetensors")
    model = MODEL | {"path": str(tmp_path / "model")}
    frame, notes, _ = recall(tmp_path, "window", {"budget": 9}, model)
    said = "invalid: 10 mean NLLs are NaN or infinite, the first of them in a at distance 8"
    assert frame.empty and notes["status"] == said
    assert f"INVALID recall window: {said}" in capsys.readouterr().out
