"""Quality jobs on little text, on a text of another model's tokens, and with a model that overflows."""

import shutil
from pathlib import Path

import pytest
import torch
from helpers import CODE, FIXTURES
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.parquet import read_table
from sinkbench.errors import UserError
from sinkbench.measure.quality import measure
from sinkbench.quantization.table import format_row
from sinkbench.text.tokens import tokenize
from tiny_texts import bytes_tokenizer, token_settings

MODEL = {"source": "folder", "path": "model", "dtype": "float32"}
SAMPLED = {"budget": 8, "sinks": 4, "samples": 2, "first_position": 8}


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """A working directory with a copy of the tiny model."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / "neox-tiny", "model")


def refusal(*args) -> str:
    with pytest.raises(UserError) as caught:
        quality(*args)
    assert "\n" not in str(caught.value)
    assert not Path("nll.parquet").exists()
    return str(caught.value)


def quality(policy: str, options: dict, texts: dict[str, str], added: tuple[str, ...] = ()):
    """NLL table and notes of one quality job over texts of one token a byte."""
    tokens = token_settings(Path("in"), texts)
    bytes_tokenizer(added).save("in/tokenizer.json")
    tokenize(tokens, "tokens.parquet", "tokens.json")
    settings = {
        "label": f"quality {policy}",
        "model": MODEL,
        "device": "cpu",
        "policy": policy,
        "options": options,
    }
    settings |= {"quantization": format_row("none"), "chunk_tokens": 16, "tokens": tokens, "code": CODE}
    measure(settings, "tokens.parquet", "nll.parquet")
    return read_table("nll.parquet")


@pytest.mark.parametrize(("budget", "sinks"), [(8, 4), (64, 4), (1, 0), (2, 1)])
def test_text_shorter_than_the_cache_is_scored(budget, sinks):
    frame, notes = quality("streaming", {"budget": budget, "sinks": sinks}, {"a": "abc", "b": "x"})
    assert (notes["status"], notes["trained_tokens"]) == ("ok", 64)
    assert list(zip(frame.document, frame.position, strict=True)) == [("a", 0), ("a", 1)]


def test_recompute_beyond_every_document_is_one_line():
    _, notes = quality("recompute", SAMPLED, {"a": "12345678", "b": "abc"})
    assert notes["status"] == "unavailable: text too short: 8 tokens, needs 10"
    assert quality("recompute", SAMPLED, {"a": "1234567890"})[1]["status"] == "ok"


def test_recompute_leaves_out_the_documents_that_are_too_short():
    frame, notes = quality("recompute", SAMPLED, {"a": "123456789 123", "b": "abc", "c": " "})
    assert set(frame.document) == {"a"} and notes["skipped_documents"] == 2


def test_single_token_has_nothing_to_score():
    _, notes = quality("window", {"budget": 8}, {"a": "x"})
    assert notes["status"] == "unavailable: text too short: 1 tokens, needs 2"


def test_tokenizer_of_another_model_is_one_line():
    said = refusal("window", {"budget": 8}, {"a": "text<|extra|>"}, ("<|extra|>",))
    assert said.startswith("document 'a' has token id 256, but the model's vocabulary ends at 255: model and")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_bad_weight_makes_the_run_invalid_and_leaves_no_number(value, capsys):
    tensors = load_file("model/model.safetensors")
    tensors["gpt_neox.layers.0.mlp.dense_h_to_4h.bias"][0] = value
    save_file(tensors, "model/model.safetensors")
    frame, notes = quality("streaming", {"budget": 8, "sinks": 4}, {"a": "some text", "b": "more text"})
    assert len(frame) == 0
    assert notes["status"].startswith("invalid: 16 NLLs are NaN or infinite, the first in a at position 0")
    assert capsys.readouterr().out == f"INVALID quality streaming: {notes['status']}\n"


def test_a_model_that_does_not_fit_is_one_line_and_a_row(monkeypatch, capsys):
    def no_room(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation")

    monkeypatch.setattr("sinkbench.measure.quality.load_model", no_room)
    frame, notes = quality("streaming", {"budget": 8, "sinks": 4}, {"a": "some text"})
    said = "unavailable: CUDA out of memory. Tried to allocate 20.00 GiB. See documentation"
    assert len(frame) == 0 and notes["status"] == said
    assert capsys.readouterr().out == f"NOTHING MEASURED quality streaming: {said}\n"
