"""Models: what is loaded, and what is refused in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import FIXTURES
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.digests import model_digest, weight_files
from sinkbench.errors import UserError
from sinkbench.model.checkpoint import check_model_folder
from sinkbench.model.loading import load_model, random_model
from transformers import GPTNeoXForCausalLM

FOLDER = {"source": "folder", "path": "model", "dtype": "float32"}
WEIGHTS, CONFIG = Path("model/model.safetensors"), Path("model/config.json")
INDEX = Path("model/model.safetensors.index.json")
MASK = torch.ones(1, 1, 64, 64, dtype=torch.bool)
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
        "layers.2.attention.dense.bias has no place in it (and 11 more)",
    ),
    (
        lambda: WEIGHTS.rename("model/pytorch_model.bin"),
        "model: neither model.safetensors nor model.safetensors.index.json; other checkpoint formats are",
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
        "model/config.json: model_type: 'gpt2' is not one of gpt_neox, llama, mistral, qwen2, qwen3",
    ),
    (
        lambda: with_config(rope_scaling={"factor": 2.0}),
        "rope_scaling.factor: a rotation of type 'default' has no such key",
    ),
    (
        lambda: with_config(rope_scaling={"rope_type": "yarn"}),
        "rotary embedding of type 'yarn' is not computed here; only default, linear, llama3 are",
    ),
    (lambda: with_config(rotary_pct=2.0), "model/config.json: rotary fraction 2.0 is not between 0 and 1"),
    (lambda: with_config(hidden_act="gleu"), "model/config.json: hidden_act 'gleu' is not one of gelu"),
    (lambda: with_config(num_attention_heads=5), "hidden_size: 64 is no multiple of num_attention_heads, 5"),
    (lambda: with_config(num_attention_heads=0), "num_attention_heads: 0 is not a whole number from 1 on"),
    (lambda: with_config(hidden_size="64"), "hidden_size: '64' is not a whole number"),
    (
        lambda: with_config(quantization_config={"quant_method": "gptq"}),
        'quantization_config: {"quant_method": "gptq"} is not computed here; only null is',
    ),
]


HEAD = "gpt_neox.layers.0.attention"


def with_parts(edit) -> None:
    """The checkpoint in parts, whose index `edit` changes."""
    split()
    index = json.loads(INDEX.read_text())
    INDEX.write_text(json.dumps(edit(index) or index))


def cast(name: str, dtype: torch.dtype) -> None:
    with_tensors(**{name: load_file(WEIGHTS)[name].to(dtype)})


PLANTED = [
    (lambda: with_tensors(**{"lm_head.bias": torch.ones(256)}), "lm_head.bias has no place in it"),
    (lambda: with_tensors(**{f"{HEAD}.bias": torch.ones(192)}), "attention.bias has no place in it"),
    (lambda: with_tensors(**{"gpt_neox.layers.3.attention.bias": MASK}), "attention.bias has no place in it"),
    (lambda: with_tensors(**{f"{BIAS}.SCB": torch.ones(256)}), f"{BIAS}.SCB has no place in it"),
    (lambda: cast(BIAS, torch.int8), f"{BIAS} is of I8, not of F64, F32, F16, BF16"),
    (lambda: cast(BIAS, torch.float8_e4m3fn), f"{BIAS} is of F8_E4M3, not of"),
    (lambda: with_tensors(**{"lm_head.weight": torch.ones(256, 64)}), "and both are for one place"),
    (lambda: with_config(tie_word_embeddings=True), "and both are for one place"),
    (
        lambda: with_config(attention_bias=False),
        "attention_bias: false is not computed here; only true or null",
    ),
    (lambda: with_config(head_dim=32), "head_dim: 32 is not computed here; only 16 or null is"),
    (lambda: with_config(sliding_window=8), "sliding_window: 8 is not computed here"),
    (lambda: with_config(layer_types=["sliding_attention"] * 3), "layer_types: "),
    (lambda: with_config(rope_parameters={"rope_theta": 500.0}), "rotary_emb_base: 10000, but the rotation"),
    (lambda: with_config(rope_theta=500.0), "rope_theta: 500.0, but the rotation is made with 10000"),
    (lambda: with_config(partial_rotary_factor=0.5), "partial_rotary_factor: 0.5, but the rotation"),
    (lambda: with_config(layer_norm_eps=float("nan")), "layer_norm_eps: NaN is not a finite number above 0"),
    (lambda: with_config(hidden_size=64.0), "hidden_size: 64.0 is not a whole number"),
    (lambda: with_config(num_hidden_layers=10**9), "num_hidden_layers: 1000000000, but there are 40 tensors"),
    (lambda: with_config(is_causal=False), "is_causal: false is not computed here"),
    (
        lambda: with_config(model_type=["gpt_neox"]),
        "model_type: '[\"gpt_neox\"]' is not one of gpt_neox, llama, mistral, qwen2, qwen3",
    ),
    (lambda: with_config(num_hidden_layers=True), "num_hidden_layers: true is not a whole number"),
    (lambda: with_config(use_parallel_residual="no"), "use_parallel_residual: 'no' is not true or false"),
    (lambda: CONFIG.write_text('{"model_type": 1, "model_type": 2}'), "model_type is given twice"),
    (lambda: Path("model/adapter_config.json").write_text("{}"), "adapter_config.json: an adapter; merge it"),
    (lambda: with_parts(lambda index: {"weight_map": None}), "weight_map is null, not a mapping"),
    (lambda: with_parts(lambda index: {"weight_map": {}}), "weight_map is {}, not a mapping"),
    (
        lambda: with_parts(lambda index: {"weight_map": {BIAS: 3}}),
        "weight_map names 3, which is no file inside",
    ),
    (
        lambda: with_parts(lambda index: {"weight_map": {BIAS: "../model/part-0.safetensors"}}),
        "weight_map names '../model/part-0.safetensors', which is no file inside the folder",
    ),
    (
        lambda: with_parts(lambda index: index["weight_map"].update(more="part-0.safetensors")),
        "model/part-0.safetensors: holds no 'more', which model.safetensors.index.json promises",
    ),
    (
        lambda: with_parts(lambda index: index["weight_map"].pop(BIAS) and None),
        f"{BIAS} is not listed in model.safetensors.index.json",
    ),
    (
        lambda: with_parts(
            lambda index: shutil.copy(FIXTURES / "neox-tiny/model.safetensors", WEIGHTS) and None
        ),
        "both model.safetensors and model.safetensors.index.json are there",
    ),
]


@pytest.mark.parametrize(("damage", "expected"), PLANTED)
def test_nothing_is_without_a_place_and_no_key_without_its_meaning(damage, expected):
    damage()
    assert expected in refusal(load_model, FOLDER, "cpu")


@pytest.mark.parametrize(
    "keys",
    [
        {"torch_dtype": "auto"},
        {"torch_dtype": "fp16", "dtype": ""},
        {"return_dict": False, "output_attentions": True, "use_cache": False},
        {"sliding_window": None, "rope_scaling": None, "rope_parameters": None},
        {"attention_bias": True, "head_dim": 16, "rope_theta": 10000, "some_new_key": {"a": [1]}},
        {"hidden_dropout": 0.1, "attention_dropout": 0.1, "bos_token_id": None, "pruned_heads": {}},
    ],
)
def test_keys_that_change_nothing_change_nothing(keys):
    expected = load_model(FOLDER, "cpu")
    with_config(**keys)
    assert check_model_folder(Path("model"))
    assert same(load_model(FOLDER, "cpu"), expected)


def same(model, other) -> bool:
    """Whether two models give the same logits."""
    ids = torch.arange(40)[None]
    return torch.equal(model(ids).logits, other(ids).logits)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_model_is_the_one_that_transformers_loads(dtype):
    own = load_model(FOLDER | {"dtype": dtype}, "cpu")
    stock = GPTNeoXForCausalLM.from_pretrained("model", dtype=getattr(torch, dtype)).eval()
    assert same(own, stock)
    assert own.state_dict().keys() == stock.state_dict().keys() and own.dtype == stock.dtype


def test_a_second_copy_in_a_file_of_the_index_is_refused():
    """It may be stale, and transformers takes whichever it reads last."""
    split()
    part = (
        "part-0.safetensors"
        if json.loads(INDEX.read_text())["weight_map"][BIAS].endswith("1.safetensors")
        else "part-1.safetensors"
    )
    save_file(load_file(f"model/{part}") | {BIAS: torch.ones(256)}, f"model/{part}")
    assert f"model/{part}: {BIAS} is there too, but model.safetensors.index.json assigns it to" in refusal(
        load_model, FOLDER, "cpu"
    )


def test_parts_may_lie_in_a_folder_below_and_be_links(monkeypatch):
    expected = load_model(FOLDER, "cpu")
    split()
    index = json.loads(INDEX.read_text())
    Path("model/parts").mkdir()
    for part in set(index["weight_map"].values()):
        Path("model", part).rename(f"blob-{part}")
        Path("model/parts", part).symlink_to(Path(f"blob-{part}").resolve())
    parts = {name: f"parts/{part}" for name, part in index["weight_map"].items()}
    INDEX.write_text(json.dumps({"weight_map": parts}))
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert same(load_model(FOLDER | {"path": "~/model"}, "cpu"), expected)
    opened = [path.name for path in weight_files(FOLDER)]
    assert opened == ["config.json", INDEX.name, "part-0.safetensors", "part-1.safetensors"]


def test_files_that_are_not_opened_have_no_say():
    before = model_digest(FOLDER)
    save_file({"x": torch.ones(1)}, "model/training_state.safetensors")
    assert model_digest(FOLDER) == before and load_model(FOLDER, "cpu")


@pytest.mark.parametrize("name", ["embed_out.weight", "lm_head.weight"])
def test_both_names_of_the_head_are_known_and_a_tied_one_is_shared(name):
    tensors = load_file(WEIGHTS)
    head = tensors.pop("embed_out.weight")
    save_file(tensors | {name: head}, WEIGHTS)
    assert torch.equal(load_model(FOLDER, "cpu").lm_head.weight, head)
    save_file(tensors, WEIGHTS)
    assert "lm_head.weight is missing" in refusal(load_model, FOLDER, "cpu")
    with_config(tie_word_embeddings=True)
    model = load_model(FOLDER, "cpu")
    assert model.lm_head.weight is model.gpt_neox.embed_in.weight


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
            "model.shape: rotary embedding of type 'dynamic' is not computed here; only default, linear",
        ),
        ({"hidden_size": 15}, "model.shape: hidden_size: 15 is no multiple of num_attention_heads, 2"),
    ],
)
def test_impossible_shape_is_one_line(change, expected):
    assert expected in refusal(random_model, {**SHAPE, **change}, 0, torch.float32, "cpu")


def test_shape_without_sizes_is_refused():
    """transformers' defaults would be a model of 20 billion parameters."""
    shape = {key: size for key, size in SHAPE.items() if key != "intermediate_size"}
    assert refusal(random_model, shape, 0, torch.float32, "cpu") == "model.shape: missing intermediate_size"
