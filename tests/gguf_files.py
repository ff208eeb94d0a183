"""Small gguf files as llama.cpp's converter writes them, and wheels that hold one."""

import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy as np
import torch
from sinkbench.model.loading import random_model
from tokenizers import Tokenizer, models, pre_tokenizers

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("Ġ", "1"), ("1", "2"), ("a", "b")]  # the first two cross what a split at digits takes apart
SPECIAL = "<|end|>"
TOKENS = [SPECIAL, *ALPHABET, *("".join(pair) for pair in MERGES)]
SHAPE = {
    "vocab_size": len(TOKENS),
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "intermediate_size": 256,
    "max_position_embeddings": 256,
    "initializer_range": 0.15,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
}
OWN_HEAD = {"qwen3": {"head_dim": 128}}  # which transformers' reader takes as given
NO_HEAD = ("qwen2",)  # of a size of its own
ENDS = (".weight", ".bias")
PACKAGE, MEMBER = "tiny-model", "tiny_model/Tiny-1M.Q8_0.gguf"


def tiny_model(family: str, tied: bool = False):
    """A random model of a family; norms and biases are drawn too."""
    shape = SHAPE | OWN_HEAD.get(family, {}) | {"model_type": family, "tie_word_embeddings": tied}
    if family in NO_HEAD:
        del shape["head_dim"]
    model = random_model(shape, 3, torch.float32, "cpu").eval()
    draw = torch.Generator().manual_seed(9)
    for parameter in model.requires_grad_(False).parameters():
        if parameter.dim() == 1:
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    return model


def write_gguf(
    path: Path, model, kind: str = "F32", without: str = "", names=None, **keys
) -> dict[str, np.ndarray]:
    """Write a model with matrices of a tensor type; return what the file holds of them, in the file's order.

    Args:
        without: name of a tensor that is left out.
        names: of parameters that llama.cpp has no name for.
        keys: further metadata, or other values of it; None leaves a key out. `__` stands for a dot.
    """
    family, config = model.config.model_type, model.config
    writer = gguf.GGUFWriter(path, family)
    _write_keys(writer, _metadata(family, config) | {key.replace("__", "."): keys[key] for key in keys})
    table = gguf.get_tensor_name_map(
        next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == family), config.num_hidden_layers
    )
    held = {}
    for name, weight in model.named_parameters():
        if (named := table.get_name(name, ENDS) or names[name]) == without:
            continue
        values, quantized = _permuted(model, name, weight.numpy()), gguf.GGMLQuantizationType[kind]
        if values.ndim == 1 or kind == "F32":
            writer.add_tensor(named, values)
            held[name] = values
        else:
            packed = gguf.quants.quantize(values, quantized)
            writer.add_tensor(named, packed, raw_dtype=quantized)
            held[name] = gguf.quants.dequantize(packed, quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def unpermuted(model, held: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """What transformers calls the values that write_gguf returned."""
    return {
        name: torch.from_numpy(_permuted(model, name, values, back=True)) for name, values in held.items()
    }


def tokenizer_with(pre: str) -> Tokenizer:
    """The tokenizer of the files, built from what its kind is documented to do."""
    vocabulary = {token: index for index, token in enumerate(TOKENS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    splits = [pre_tokenizers.Digits(individual_digits=True)] if pre == "smollm" else []
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    tokenizer.add_special_tokens([SPECIAL])
    return tokenizer


def write_wheel(folder: Path, version: str, members: dict[str, bytes]) -> Path:
    """A wheel of the package that holds these files, and code that must not run."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"tiny_model-{version}.dist-info"
    path = folder / f"tiny_model-{version}-py3-none-any.whl"
    metadata = (
        f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\nRequires-Dist: not-to-be-brought\n"
    )
    wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {"tiny_model/__init__.py": "raise SystemExit('imported')", **members}
    files = {**members, f"{about}/METADATA": metadata, f"{about}/WHEEL": wheel, f"{about}/RECORD": ""}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def digest(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _metadata(family: str, config) -> dict:
    rotary = config.rope_parameters["rope_theta"]
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    sizes = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "rope.dimension_count": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.freq_base": float(rotary),
    }
    return {f"{family}.{key}": value for key, value in sizes.items()} | {
        "general.name": "Tiny 1M",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in MERGES],
        "tokenizer.ggml.token_type": [3 if token == SPECIAL else 1 for token in TOKENS],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
    }


def _write_keys(writer, keys: dict) -> None:
    for key, value in keys.items():
        match value:
            case None:
                writer.kv_data[0].pop(key, None)
            case bool():
                writer.add_bool(key, value)
            case int():
                writer.add_uint32(key, value)
            case float():
                writer.add_float32(key, value)
            case str():
                writer.add_string(key, value)
            case list():
                writer.add_array(key, value)


def _permuted(model, name: str, values: np.ndarray, back: bool = False) -> np.ndarray:
    """Llama's queries and keys, whose rotated pairs llama.cpp holds side by side."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    heads = heads.get(name.split(".")[-2])
    if config.model_type != "llama" or heads is None:
        return values
    halves = len(values) // heads // 2
    pairs = (heads, halves, 2) if back else (heads, 2, halves)
    return np.ascontiguousarray(values.reshape(*pairs, *values.shape[1:]).swapaxes(1, 2)).reshape(
        values.shape
    )
