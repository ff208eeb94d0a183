"""Training of the demonstration model, in small: the split, the samples, the overlap and a short run."""

import json
import random

import numpy as np
import pytest
import torch
from sinkbench.errors import UserError
from sinkbench.training.data import (
    END_ID,
    encode,
    hold_out,
    prepare,
    python_sources,
    sample,
    token_bytes,
    train_tokenizer,
)
from sinkbench.training.overlap import overlap_share, overlap_shares
from sinkbench.training.train import rate, train, training_progress

VOCABULARY, CONTEXT, BOOKS = 320, 16, 9
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": CONTEXT,
    "rotary_pct": 0.25,
    "hidden_act": "gelu",
    "tie_word_embeddings": False,
    "bos_token_id": END_ID,
    "eos_token_id": END_ID,
}
PLAN = {"steps": 30, "dropout": 0.1, "shape": SHAPE}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A folder with books/, code/ and unseen/, all of it generated."""
    folder = tmp_path_factory.mktemp("texts")
    words = random.Random(0)
    for number in range(BOOKS):
        _write(
            folder / f"books/{number}.txt", " ".join(words.choices(["sink", "window", "cache", "key"], k=400))
        )
    for number in range(4):
        lines = [f"def f{words.randrange(999)}(x): return x + {words.randrange(999)}" for _ in range(60)]
        _write(folder / f"code/m{number}.py", "\n".join(lines))
    _write(folder / "unseen/own.py", "\n".join(f"class C{n}: n = {words.random()}" for n in range(60)))
    _write(folder / "code/vendored.py", "import os\n" + (folder / "unseen/own.py").read_text())
    _write(folder / "code/again.py", (folder / "code/m0.py").read_text())
    return folder


def _write(path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.fixture(scope="module")
def settings(texts):
    return {
        "device": "cpu",
        "seed": 0,
        "prose": str(texts / "books/*.txt"),
        "prose_extra": [],
        "holdout_every": 4,
        "code": str(texts / "code"),
        "code_bytes": 1_000_000,
        "unseen_code": {"name": "unseen", "kind": "files", "glob": str(texts / "unseen/*.py")},
        "overlap_tokens": 12,
        "overlap_share": 0.05,
        "vocabulary": VOCABULARY,
        "tokenizer_bytes": 1_000_000,
        "context_tokens": CONTEXT,
        "batch_samples": 8,
        "prose_share": 0.5,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "warmup_steps": 3,
        "decay_share": 0.5,
        "log_every_steps": 10,
        "time_limit_s": None,
        "models": [{"name": "model", **PLAN}, {"name": "draft", **PLAN, "steps": 2}],
    }


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(settings, folder)
    return folder


def test_holdout_takes_every_fourth_of_79():
    kept, held_out = hold_out(list(range(79)), 4)
    assert held_out == list(range(0, 79, 4)) and len(held_out) == 20
    assert sorted(kept + held_out) == list(range(79))


def test_every_sample_starts_with_end_of_text(settings):
    data = prepare(settings)
    for stream in data.streams.values():
        tokens = sample(stream, 50, CONTEXT, torch.Generator().manual_seed(0))
        assert tokens.shape == (50, CONTEXT + 1)
        assert (tokens[:, 0] == END_ID).all()
    assert all((rows[:, 0] == END_ID).all() for rows in data.unseen.values())


def test_tokens_are_the_bytes_of_the_text():
    text = "def f():\n\treturn 'λ' * 2  # ﬁne\n"
    tokenizer = train_tokenizer([text] * 3, VOCABULARY)
    ids = encode(tokenizer, [text])[0]
    assert ids[-1] == END_ID and tokenizer.decode(ids[:-1].tolist()) == text
    assert token_bytes(tokenizer)[ids.astype(int)].sum() == len(text.encode())


def test_vendored_copies_and_duplicates_are_left_out(settings):
    code = prepare(settings).record["code"]
    assert code["files_dropped"] == 1 and code["files"] == 4
    assert code["unseen_overlap"] < 0.01 < 0.9 < code["unseen_overlap_before"]


def test_overlap_counts_sequences_within_one_file():
    files = [np.arange(20), np.arange(100, 120), np.arange(3)]
    reference = [np.arange(5, 15), np.arange(118, 140)]
    assert overlap_shares(files, reference, 4, "cpu").tolist() == [7 / 17, 0, 0]
    assert overlap_share(files, reference, 4, "cpu") == pytest.approx(7 / 34)


def test_code_is_capped_and_its_order_seeded(texts):
    all_of_it = python_sources(texts / "code", 1_000_000, seed=0)
    assert all_of_it == python_sources(texts / "code", 1_000_000, seed=0)
    assert python_sources(texts / "code", 3_000, seed=0) == all_of_it[:1]


def test_learning_rate_warms_up_holds_and_ends_at_zero(settings):
    plan = settings | {"steps": 100, "warmup_steps": 10}
    rates = [rate(step, training_progress(step, 0.0, plan), plan) for step in (1, 10, 50, 75, 100)]
    assert rates == pytest.approx([0.001, 0.01, 0.01, 0.005, 0.0])
    assert training_progress(1, 30.0, plan | {"time_limit_s": 60}) == 0.5


def test_short_run_learns_and_loads(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    record = json.loads((trained / "training.json").read_text())
    losses = [row["unseen_nats_per_byte"]["prose"] for row in record["model"]["log"]]
    assert losses[-1] < losses[0] and [row["step"] for row in record["model"]["log"]] == [10, 20, 30]
    for name in ("model", "draft"):
        tokenizer = AutoTokenizer.from_pretrained(trained / name)
        model = AutoModelForCausalLM.from_pretrained(trained / name)
        assert len(tokenizer) == VOCABULARY == model.config.vocab_size
        assert model.dtype == torch.bfloat16 and model.config.hidden_dropout == 0
        assert tokenizer.eos_token_id == END_ID and tokenizer.pad_token is None


def test_only_safetensors_and_json_are_written(trained):
    endings = {path.suffix for path in trained.rglob("*") if path.is_file()}
    assert endings == {".safetensors", ".json"}


def test_time_limit_ends_a_run_early(settings, tmp_path):
    plan = settings["models"][0] | {"steps": 10**6}
    train(settings | {"models": [plan], "time_limit_s": 0.2}, tmp_path)
    assert json.loads((tmp_path / "training.json").read_text())["model"]["log"][-1]["step"] < 10**6


def test_missing_text_is_a_readable_error(settings, tmp_path):
    with pytest.raises(UserError, match=r"training\.prose: no file matches"):
        prepare(settings | {"prose": str(tmp_path / "*.txt")})
    with pytest.raises(UserError, match=r"training\.code: no Python source"):
        prepare(settings | {"code": str(tmp_path)})
