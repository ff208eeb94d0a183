"""Models: what is loaded, and what is refused in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import FIXTURES
from safetensors.torch import load_file, save_file
from sinkbench.errors import UserError
from sinkbench.model.loading import load_model, random_model

FOLDER = {"source": "folder", "path": "model", "dtype": "float32"}
WEIGHTS, CONFIG = Path("model/model.safetensors"), Path("model/config.json")
BIAS = "gpt_neox.layers.0.mlp.dense_h_to_4h.bias"
SHAPE = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPE["intermediate_size"] = 32


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """A working directory with a copy of the tiny model."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / "neox-tiny", "model")


def refusal(call, *args) -> str:
    with pytest.raises(UserError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_config(**changes) -> None:
    CONFIG.write_text(json.dumps({**json.loads(CONFIG.read_text()), **changes}))


def with_tensors(**changes) -> None:
    """Other tensors in the checkpoint; None removes one."""
    tensors = {**load_file(WEIGHTS), **changes}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, WEIGHTS)


def truncated(size: int) -> None:
    WEIGHTS.write_bytes(WEIGHTS.read_bytes()[:size])


def split(lost: str | None = None) -> None:
    """The checkpoint in two files and an index, the second one perhaps lost."""
    tensors = load_file(WEIGHTS)
    parts = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(sorted(tensors))}
    for part in set(parts.values()) - {lost}:
        save_file({name: tensors[name] for name in tensors if parts[name] == part}, f"model/{part}")
    Path("model/model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    WEIGHTS.unlink()


BROKEN = [
    (lambda: truncated(700_000), "model/model.safetensors: cut short or grown: 700000 bytes, not 735648"),
    (lambda: truncated(0), "model/model.safetensors: not a readable safetensors file, or cut short"),
    (lambda: with_tensors(**{BIAS: None}), f"does not fit its config.json: {BIAS} is missing"),
    (lambda: with_tensors(**{BIAS: torch.zeros(3)}), f"{BIAS} has shape [3], not [256]"),
    (lambda: with_config(num_hidden_layers=4), "layers.3.attention.dense.bias is missing (and 11 more)"),
    (
        lambda: with_config(num_hidden_layers=2),
        "layers.2.attention.dense.weight has no place in it (and 5 more)",
    ),
    (
        lambda: WEIGHTS.rename("model/pytorch_model.bin"),
        "model: no *.safetensors file; other checkpoint formats",
    ),
    (
        lambda: WEIGHTS.rename("model/w.safetensors"),
        "model: neither model.safetensors nor model.safetensors.index",
    ),
    (
        lambda: split(lost="part-1.safetensors"),
        "model/part-1.safetensors: named by model.safetensors.index.json",
    ),
    (lambda: CONFIG.unlink(), "model: no config.json there; a model folder holds"),
    (lambda: CONFIG.write_text("{"), "model/config.json: not readable as JSON"),
    (lambda: CONFIG.write_text("[]"), "model/config.json: not a JSON object"),
    (
        lambda: with_config(model_type="gpt2"),
        "model/config.json: model_type 'gpt2'; only gpt_neox (Pythia, GPT-NeoX)",
    ),
    (
        lambda: with_config(rope_scaling={"type": "linear", "factor": 2.0}),
        "rotary embedding of type 'linear'; only",
    ),
    (
        lambda: with_config(rope_scaling={"rope_type": "yarn", "factor": 2.0}),
        "rotary embedding of type 'yarn'; only",
    ),
    (lambda: with_config(rotary_pct=2.0), "model/config.json: rotary fraction 2.0 is not between 0 and 1"),
    (lambda: with_config(hidden_act="gleu"), "model/config.json: hidden_act 'gleu' is not one of gelu"),
    (lambda: with_config(num_attention_heads=5), "model/config.json: Class validation error"),
    (lambda: with_config(num_attention_heads=0), "model/config.json: integer modulo by zero"),
    (lambda: with_config(hidden_size="64"), "Field 'hidden_size' expected int, got str"),
    (
        lambda: with_config(quantization_config={"quant_method": "gptq"}),
        "quantized checkpoints are not supported",
    ),
]


@pytest.mark.parametrize(("damage", "expected"), BROKEN)
def test_broken_model_is_one_line(damage, expected):
    damage()
    assert expected in refusal(load_model, FOLDER, "cpu")


def test_checkpoint_in_parts_is_the_same_model():
    whole = load_model(FOLDER, "cpu").state_dict()
    split()
    parts = load_model(FOLDER, "cpu").state_dict()
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


def test_what_old_checkpoints_hold_besides_weights_is_left():
    """Pythia's own files carry masks and frequencies, and name dtype and rotation as they did in 2023."""
    mask = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    old = {"bias": mask, "masked_bias": torch.tensor(-1e9), "rotary_emb.inv_freq": torch.ones(2)}
    with_tensors(**{f"gpt_neox.layers.0.attention.{name}": tensor for name, tensor in old.items()})
    with_config(torch_dtype="float16", transformers_version="4.24.0", use_cache=True)
    assert load_model(FOLDER, "cpu").dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hiden_size": 3}, "model.shape: unknown key hiden_size; allowed are those of GPTNeoXConfig"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            "model.shape: rotary embedding of type",
        ),
        ({"hidden_size": 15}, "model.shape: Class validation error"),
    ],
)
def test_impossible_shape_is_one_line(change, expected):
    assert expected in refusal(random_model, {**SHAPE, **change}, 0, torch.float32, "cpu")


def test_shape_without_sizes_is_refused():
    """transformers' defaults would be a model of 20 billion parameters."""
    shape = {key: size for key, size in SHAPE.items() if key != "intermediate_size"}
    assert refusal(random_model, shape, 0, torch.float32, "cpu") == "model.shape: missing intermediate_size"
