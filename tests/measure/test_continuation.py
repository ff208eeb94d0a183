"""Continuations: the run's own tokens with their likelihood, and a page that shows them and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import CODE, FIXTURES, Checked
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.table import engine_row
from sinkbench.measure import continuation
from sinkbench.measure.continuation import measure
from sinkbench.model.loading import load_model
from sinkbench.policies.streaming import Policy
from sinkbench.quantization.table import format_row
from sinkbench.report.pages import continuations
from sinkbench.text.tokens import tokenize
from tiny_texts import bytes_tokenizer, token_settings

MODEL = {"source": "folder", "path": str(FIXTURES / "neox-tiny"), "dtype": "float32"}
RING = {"budget": 12, "sinks": 2}
WANTED = {
    "corpus": "texts",
    "document": "a",
    "prompt_tokens": 9,
    "new_tokens": 30,
    "temperature": 1,
    "seed": 3,
}
FACTS = {"study": "s", "model": "m", **WANTED}


def continued(folder: Path, engine: str = "eager", **wanted) -> tuple[pd.DataFrame, dict]:
    tokens = token_settings(folder / "in", {"a": "a text to be continued", "b": "short"})
    tokenize(tokens, str(folder / "tokens.parquet"), str(folder / "tokens.json"))
    settings = {
        "label": "continuation",
        "model": MODEL,
        "device": "cpu",
        "policy": "streaming",
        "options": RING,
    }
    settings |= {
        "quantization": format_row("none"),
        "engine": engine_row(engine),
        "chunk_tokens": 16,
        "tokens": tokens,
        "code": CODE,
    }
    settings |= {"continuation": WANTED | wanted}
    measure(settings, str(folder / "tokens.parquet"), str(folder / "out.parquet"))
    return read_table(folder / "out.parquet")


@pytest.mark.parametrize("temperature", [0, 1, 0.5])
def test_likelihoods_are_those_of_the_exact_evaluator(temperature, tmp_path):
    """Whatever the temperature, they are under the model's own distribution; 30 tokens overflow the ring."""
    frame, notes = continued(tmp_path, temperature=temperature)
    assert notes["status"] == "ok" and len(frame) == 39
    ids = torch.tensor(frame["token_id"].tolist())
    exact = Evaluator(load_model(MODEL, "cpu"), 64).stream(ids, Policy(**RING).visibility(0))
    assert frame["nll"][:9].isna().all()
    np.testing.assert_allclose(frame["nll"][9:], exact[8:], atol=2e-5)


def test_the_prompt_is_the_documents_beginning_and_the_seed_decides_the_rest(tmp_path):
    first, again, other = (continued(tmp_path, seed=seed)[0]["token_id"].tolist() for seed in (3, 3, 4))
    prompt = bytes_tokenizer().encode("a text to be continued").ids[:9]
    assert first[:9] == prompt == other[:9]
    assert first == again != other


def test_a_run_that_cannot_be_made_leaves_its_status(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("CUDA graphs run here")
    frame, notes = continued(tmp_path, engine="graph")
    assert frame.empty and notes["status"].startswith("unavailable: ")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"document": "c"}, "continuations.document: 'c' is not one of a, b"),
        ({"document": "b"}, "text too short: 5 tokens, needs 9"),
    ],
)
def test_a_prompt_that_is_not_there_leaves_its_status(wanted, said, tmp_path):
    frame, notes = continued(tmp_path, **wanted)
    assert frame.empty and notes["status"] == f"unavailable: {said}"


def result(text: str) -> tuple[pd.DataFrame, dict]:
    """A continuation that is `text`, whose tokens have NLLs 0, 1, 2, ..."""
    ids = bytes_tokenizer().encode("p" * 9 + text).ids
    nll = [np.nan] * 9 + list(range(len(text)))
    return pd.DataFrame({"position": range(len(ids)), "token_id": ids, "nll": nll}), {"status": "ok"}


def test_the_page_is_one_safe_valid_file():
    evil = "<script>alert(1)</script>&amp;"
    text = continuations.page({"<b>": result(evil)}, bytes_tokenizer(), FACTS | {"new_tokens": len(evil)})
    checked = Checked(text)
    assert "<script" not in text and "<b>" not in text
    assert "".join(checked.texts["pre"]).replace("p" * 9, "") == evil
    assert not {"src", "href"} & {name for name, _ in checked.attributes} and "url(" not in text


def test_every_token_is_in_its_column_once_and_every_number_is_counted():
    left, right = "abcdefghijklmnopqrstuvwxyz0123", "y" * 30
    page = continuations.page(
        {"left": result(left), "right": result(right)}, bytes_tokenizer(), FACTS | {"new_tokens": 30}
    )
    checked = Checked(page)
    pieces = checked.texts["pre"][1:]
    assert "".join(pieces[::2]) == left and "".join(pieces[1::2]) == right
    said = checked.texts["small"]
    assert said[0].startswith(f"mean NLL {np.mean(range(round(30 / 8))):.2f} nats")


def test_a_run_without_a_text_has_its_status_on_the_page():
    empty = pd.DataFrame({name: [] for name in continuation.COLUMNS})
    results = {"gone": (empty, {"status": "unavailable: no <GPU>"}), "there": result("x" * 30)}
    text = continuations.page(results, bytes_tokenizer(), FACTS)
    assert "unavailable: no &lt;GPU&gt;" in text and "xxx" in text


def test_repetition_counts_what_stood_there_before():
    assert continuations.repetition(np.arange(20)) == 0
    assert continuations.repetition(np.zeros(24, dtype=int)) == pytest.approx(100 * 20 / 21)
    assert continuations.repetition(np.tile(np.arange(8), 2)) == pytest.approx(100 * 5 / 13)
