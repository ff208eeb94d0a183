"""Self-checks: two correct sides agree in each dtype, and a fault planted on either side is one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import CODE, FIXTURES
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.parquet import read_table
from sinkbench.errors import UserError
from sinkbench.measure import self_check
from sinkbench.text.tokens import tokenize
from tiny_texts import bytes_tokenizer, token_settings

TEXT = "The self-check reads a text of the length that the model was trained on, and no more of it than that."
TRAINED = 64  # tokens: the fixture's max_position_embeddings
LAYER = "gpt_neox.layers.1"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """A working directory with a copy of the tiny model."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / "neox-tiny", "model")


def checked(dtype: str = "float32", text: str = TEXT):
    """Table and notes of one self-check of the folder `model`."""
    tokens = token_settings(Path("in"), {"short": "x", "long": text})
    bytes_tokenizer(()).save("in/tokenizer.json")
    tokenize(tokens, "tokens.parquet", "tokens.json")
    settings = {
        "label": "self_check model",
        "device": "cpu",
        "chunk_tokens": 16,
        "tokens": tokens,
        "code": CODE,
    }
    settings["model"] = {"source": "folder", "path": "model", "dtype": dtype}
    self_check.measure(settings, "tokens.parquet", "check.parquet")
    return read_table("check.parquet")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_two_correct_sides_agree_over_the_trained_length(dtype):
    frame, notes = checked(dtype)
    assert notes["status"] == "ok"
    assert set(frame.dtype) == {dtype, "float32"}
    assert frame.groupby("dtype").size().eq(TRAINED - 1).all()
    assert notes["said"].startswith("mean NLL ") and f"over {TRAINED - 1} tokens in {dtype}" in notes["said"]


def test_a_shorter_text_is_compared_whole_and_counted():
    frame, notes = checked(text="abc")
    assert len(frame) == 2 and "over 2 tokens" in notes["said"]


def test_a_config_that_claims_a_huge_length_does_not_hold_its_logits(monkeypatch):
    plant_in("model", config(max_position_embeddings=1_000_000))
    monkeypatch.setattr(self_check, "MOST_TOKENS", 20)
    _, notes = checked()
    assert "over 19 tokens" in notes["said"]


def test_a_text_without_a_next_token_compares_nothing_and_says_so():
    frame, notes = checked(text="y")
    assert len(frame) == 0 and notes["status"].endswith("the longest document has 1 tokens, needs 2")


def config(**keys):
    """A plant: other keys of the config, on our side."""

    def plant(tensors: dict, raw: dict) -> None:
        raw.update(keys)

    return plant


def of_tensor(name: str, change):
    """A plant: another tensor, on our side."""

    def plant(tensors: dict, raw: dict) -> None:
        tensors[name] = change(tensors[name]).contiguous()

    return plant


def other_order(weight):
    """Queries, keys and values of all heads together, in place of head by head."""
    heads = weight.unflatten(0, (4, 3, -1))
    return heads.transpose(0, 1).flatten(0, 2)


PLANTS = {
    "rotary base": config(rotary_emb_base=11_000),
    "rotary fraction": config(rotary_pct=0.5),
    "epsilon": config(layer_norm_eps=1e-3),
    "activation": config(hidden_act="gelu_new"),
    "residual": config(use_parallel_residual=False),
    "order of heads": of_tensor(f"{LAYER}.attention.query_key_value.weight", other_order),
    "bias left out": of_tensor(f"{LAYER}.attention.dense.bias", lambda bias: 0 * bias),
    "stale shard": of_tensor(f"{LAYER}.mlp.dense_h_to_4h.weight", lambda weight: weight.flip(0)),
    "weights rounded": of_tensor(
        f"{LAYER}.mlp.dense_4h_to_h.weight", lambda weight: weight.bfloat16().float()
    ),
}


def plant_in(folder: str, plant) -> None:
    weights, about = Path(folder, "model.safetensors"), Path(folder, "config.json")
    tensors, raw = load_file(weights), json.loads(about.read_text())
    plant(tensors, raw)
    save_file(tensors, weights, metadata={"format": "pt"})
    about.write_text(json.dumps(raw))


CASES = [(fault, dtype) for fault in PLANTS for dtype in ("float32", "bfloat16")]
CASES.remove(("weights rounded", "bfloat16"))  # there both sides round them so


@pytest.mark.parametrize("side", ["own", "stock"])
@pytest.mark.parametrize(("fault", "dtype"), CASES)
def test_a_planted_fault_is_one_line_on_either_side(fault, side, dtype, monkeypatch):
    shutil.copytree("model", "other")
    plant_in("other", PLANTS[fault])
    if side == "own":
        load = self_check.load_model
        monkeypatch.setattr(
            self_check, "load_model", lambda source, device: load(source | {"path": "other"}, device)
        )
    else:
        stock = self_check.stock_model
        monkeypatch.setattr(self_check, "stock_model", lambda folder, *rest: stock(Path("other"), *rest))
    with pytest.raises(UserError) as caught:
        checked(dtype)
    said = str(caught.value)
    assert said.startswith("model: is not computed as transformers computes it: mean NLL ")
    assert " allowed)" in said and "\n" not in said
    assert not Path("check.parquet").exists()


def test_what_transformers_refuses_is_not_compared_and_says_so(monkeypatch):
    def refuse(*_, **__):
        raise AttributeError("no such dtype\nsecond line")

    monkeypatch.setattr(self_check.AutoModelForCausalLM, "from_pretrained", refuse)
    frame, notes = checked()
    said = "unavailable: model: transformers cannot load it, so nothing is compared: no such dtype"
    assert len(frame) == 0 and notes["status"] == said


@pytest.mark.parametrize(
    ("own", "stock", "differs"),
    [
        ([1.0, 2.0], [1.0, 2.0], False),
        ([1.0, np.nan], [1.0, np.nan], False),
        ([1.0, np.nan], [1.0, 2.0], True),
        ([np.nan, np.nan], [np.nan, np.inf], False),
        ([np.nan, np.nan], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.0011], True),
        ([1.0, 2.0], [1.001, 1.999], True),  # the means agree
    ],
)
def test_nans_agree_with_nans_alone_and_gaps_do_not_cancel(own, stock, differs):
    said, found = self_check.compare(np.array(own), np.array(stock), "float32")
    assert found == differs and "\n" not in said
