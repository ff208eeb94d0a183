"""Edited checkpoints are refused in one line, or score as transformers' own loading of them does.

python tests/model/test_checkpoint_fuzz.py 3000   tries that many and counts.
"""

import json
import random
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from helpers import FIXTURES
from safetensors.torch import load_file, save_file
from sinkbench.attention.evaluator import Evaluator
from sinkbench.errors import UserError
from sinkbench.model.loading import load_model
from sinkbench.model.nll import token_nll_of_logits
from transformers import GPTNeoXForCausalLM

TRIED, QUICK = 120, 30  # by all tests, and by the quick ones
FINE = ("refused", "refused by transformers", "equal")
BOUND = 1e-4  # nats, on the mean
TOKENS = torch.randint(256, (64,), generator=torch.Generator().manual_seed(0))
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    4,
    16,
    64,
    64.0,
    0.5,
    1e-5,
    1e-2,
    float("nan"),
    1e400,
    "64",
    "",
    [],
    {},
]
VALUES += [
    "relu",
    "gelu_new",
    "default",
    "auto",
    500.0,
    10000,
    {"rope_theta": 500.0},
    {"rope_type": "linear"},
]
VALUES += [
    {"rope_type": "default", "partial_rotary_factor": 0.5, "rope_theta": 10000.0},
    ["full_attention"] * 3,
]
KEYS = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "max_position_embeddings",
    "rotary_pct",
    "rotary_emb_base",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "partial_rotary_factor",
    "use_parallel_residual",
    "tie_word_embeddings",
    "attention_bias",
    "head_dim",
    "num_key_value_heads",
    "sliding_window",
    "layer_types",
    "attention_dropout",
    "hidden_dropout",
    "torch_dtype",
    "dtype",
    "use_cache",
    "return_dict",
    "output_attentions",
    "is_decoder",
    "output_hidden_states",
    "add_cross_attention",
    "is_encoder_decoder",
    "pruned_heads",
    "chunk_size_feed_forward",
    "logit_scale",
    "initializer_range",
    "bos_token_id",
    "quantization_config",
    "attn_implementation",
    "_attn_implementation",
    "architectures",
    "mlp_bias",
    "attention_multiplier",
    "embedding_multiplier",
    "residual_multiplier",
    "classifier_dropout",
]
NAMES = ["lm_head.weight", "lm_head.bias", "embed_out.bias", "extra", "gpt_neox.layers.0.attention.bias"]
NAMES += ["gpt_neox.layers.0.attention.masked_bias", "gpt_neox.layers.0.attention.rotary_emb.inv_freq"]
NAMES += ["gpt_neox.layers.3.mlp.dense_h_to_4h.bias", "gpt_neox.embed_in.weight_scale"]


def edit_config(folder: Path, draw: random.Random) -> None:
    config = json.loads((folder / "config.json").read_text())
    key = draw.choice(KEYS)
    if draw.random() < 0.2:
        config.pop(key, None)
    else:
        config[key] = draw.choice(VALUES)
    (folder / "config.json").write_text(json.dumps(config))


def edit_tensors(folder: Path, draw: random.Random) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name, other = draw.sample(sorted(tensors), 2)
    tensor = tensors[name]
    match draw.randrange(8):
        case 0:
            del tensors[name]
        case 1:
            tensors[draw.choice([*NAMES, f"{name}_scale", f"{name}.absmax"])] = tensor.clone()
        case 2:
            tensors[draw.choice([*NAMES, name.removeprefix("gpt_neox."), other])] = tensors.pop(name)
        case 3:
            tensors[name] = tensor.to(draw.choice([torch.int8, torch.uint8, torch.float8_e5m2, torch.bool]))
        case 4:
            tensors[name] = tensor.to(draw.choice([torch.float16, torch.bfloat16, torch.float64]))
        case 5:
            tensors[name] = tensor.flatten().clone()
        case 6:
            tensors[name] = tensor.T.contiguous() if tensor.dim() == 2 else tensor[:-1].clone()
        case 7:
            tensors[draw.choice(NAMES)] = torch.ones(
                draw.choice([(), (1,), (3,), (192,), (1, 1, 8, 8), (256, 64)])
            )
    save_file(tensors, path)


def edit_index(folder: Path, draw: random.Random) -> None:
    """Two parts; tensors copied, moved, dropped, or assigned to another part."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {name: f"part-{draw.randrange(2)}.safetensors" for name in tensors}
    name, part = draw.choice(sorted(tensors)), f"part-{draw.randrange(2)}.safetensors"
    held = {
        file: {key: tensors[key] for key in tensors if parts[key] == file} for file in set(parts.values())
    }
    match draw.randrange(4):
        case 0:
            parts[name] = part
        case 1:
            held.setdefault(part, {})[name] = tensors[name].clone()
        case 2:
            del parts[name]
        case 3:
            parts[draw.choice(NAMES)] = part
    for file, own in held.items():
        save_file(own, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))


def own_nll(folder: Path) -> float | None:
    """Mean NLL of the evaluator; None where the checkpoint is refused in one line."""
    try:
        model = load_model({"source": "folder", "path": str(folder), "dtype": "float32"}, "cpu")
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 500, error
        return None
    return Evaluator(model, 16).dense(TOKENS % model.config.vocab_size).double().mean().item()


@torch.inference_mode()
def stock_nll(folder: Path) -> float:
    """The same by transformers, which loads the folder itself."""
    model = GPTNeoXForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    model.config.return_dict, model.config.output_attentions = True, False
    ids = TOKENS % model.config.vocab_size
    logits = model(ids[None], use_cache=False).logits[0, :-1]
    return token_nll_of_logits(logits, ids[1:]).double().mean().item()


def outcome(seed: int) -> str:
    """What became of one edited checkpoint: one of FINE, or what is wrong."""
    draw = random.Random(seed)
    with TemporaryDirectory() as name:
        folder = Path(name) / "model"
        shutil.copytree(FIXTURES / "neox-tiny", folder)
        for edit in draw.choices([edit_config, edit_tensors, edit_index], weights=[3, 3, 1], k=1):
            edit(folder, draw)
        if (own := own_nll(folder)) is None:
            return "refused"
        try:
            stock = stock_nll(folder)
        except Exception:  # a value that it refuses, of a key that changes nothing here
            return "refused by transformers"
        return "equal" if abs(own - stock) < BOUND else f"{own} here, {stock} by transformers"


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= QUICK else []) for seed in range(TRIED)]
)
def test_an_edited_checkpoint_is_refused_or_scores_as_by_transformers(seed):
    assert outcome(seed) in FINE


if __name__ == "__main__":
    from collections import Counter

    found = {seed: outcome(seed) for seed in range(int(sys.argv[1]))}
    print(Counter(said if said in FINE else "different" for said in found.values()))
    print(*(f"{seed}: {said}" for seed, said in found.items() if said not in FINE), sep="\n")
