"""The gate of NaN: int8 weights that are multiplied before they are scaled overflow in float16 alone."""

import shutil

import numpy as np
import pytest
from helpers import CODE, ROOT
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.parquet import read_table
from sinkbench.measure.quality import measure
from sinkbench.quantization.table import format_row
from sinkbench.text.tokens import tokenize
from tiny_texts import token_settings

FACTOR = 64  # by which normed inputs grow and the weights that read them shrink: the same function
READ_BY = {"input_layernorm": "attention.query_key_value", "post_attention_layernorm": "mlp.dense_h_to_4h"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demonstration model and one of the same function whose inner products are larger, and a text."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("plain", "large"):
        shutil.copytree(ROOT / "resources/demo-model", folder / name)
    weights = load_file(folder / "large/model.safetensors")
    for name in list(weights):
        for norm, reader in READ_BY.items():
            if f".{norm}." in name:
                weights[name] = weights[name] * FACTOR
            if f".{reader}.weight" in name:
                weights[name] = weights[name] / FACTOR
    save_file(weights, folder / "large/model.safetensors", {"format": "pt"})
    tokens = token_settings(folder / "in", {"a": "The quick brown fox jumps over the lazy dog. " * 3})
    tokenize(tokens, str(folder / "tokens.parquet"), str(folder / "tokens.json"))
    return folder, tokens


def score(folder, model: str, quantization: str, dtype: str) -> tuple[np.ndarray, str]:
    """NLLs and status of a quality job."""
    where, tokens = folder
    settings = {
        "label": "quality",
        "model": {"source": "folder", "path": str(where / model), "dtype": dtype},
        "device": "cpu",
        "policy": "streaming",
        "options": {"budget": 32, "sinks": 4},
        "quantization": format_row(quantization),
        "chunk_tokens": 64,
        "tokens": tokens,
        "code": CODE,
    }
    measure(settings, str(where / "tokens.parquet"), str(where / "nll.parquet"))
    frame, notes = read_table(where / "nll.parquet")
    return frame["nll"].to_numpy(), notes["status"]


def test_torchao_int8_overflows_in_float16(folder):
    nll, status = score(folder, "large", "torchao_int8", "float16")
    assert status.startswith("invalid: ") and "NaN or infinite" in status
    assert not len(nll)


@pytest.mark.parametrize(
    ("model", "quantization", "dtype"),
    [
        ("large", "torchao_int8", "bfloat16"),
        ("large", "int8", "float16"),
        ("large", "none", "float16"),
        ("plain", "torchao_int8", "float16"),
    ],
)
def test_neither_another_format_nor_another_order_nor_smaller_weights_do(folder, model, quantization, dtype):
    nll, status = score(folder, model, quantization, dtype)
    exact, _ = score(folder, "plain", "none", "float32")
    assert status == "ok"
    assert np.abs(nll - exact).mean() < 0.15


def test_both_models_are_one_function(folder):
    (large, _), (plain, _) = (score(folder, name, "none", "float32") for name in ("large", "plain"))
    np.testing.assert_allclose(large, plain, atol=1e-4)
