"""GPT-NeoX models from the hub's files, a local folder, or random weights of a given shape.

safetensors only, no remote code. A hub model is read from the folder that `fetch` filled, so that
the machine that computes needs no network.
"""

from dataclasses import fields
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.activations import ACT2FN

from sinkbench.artifacts.hub import local_folder
from sinkbench.artifacts.model_folder import check_model_folder
from sinkbench.errors import UserError

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
OLD_KEYS = {"rotary_pct", "rotary_emb_base"}  # what checkpoints call rope_parameters; transformers translates


def load_model(settings: dict, device: str) -> GPTNeoXForCausalLM:
    """Load the model of a config's `model` section on `device`, in eval mode.

    Raises UserError for another architecture, a missing or corrupt checkpoint, or a scaled rotary embedding.
    """
    dtype = getattr(torch, settings["dtype"])
    if settings["source"] == "random":
        model = random_model(settings["shape"], settings["seed"], dtype, device)
    else:
        model = _pretrained(local_folder(settings), dtype).to(device)
    return model.eval().requires_grad_(False)


def random_model(shape: dict, seed: int, dtype: torch.dtype, device: str) -> GPTNeoXForCausalLM:
    """Build a model of random weights, for times only: such a model has no perplexity."""
    _check_keys(shape)
    config = _config(shape, "model.shape")
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return GPTNeoXForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def _check_keys(shape: dict) -> None:
    """transformers takes any key, and its default sizes are those of a model of 20 billion parameters."""
    known = {field.name for field in fields(GPTNeoXConfig)} | OLD_KEYS
    unknown, missing = sorted(set(shape) - known), [key for key in SIZES if key not in shape]
    if unknown:
        raise UserError(f"model.shape: unknown key {unknown[0]}; allowed are those of GPTNeoXConfig")
    if missing:
        raise UserError(f"model.shape: missing {', '.join(missing)}")


def _pretrained(folder: Path, dtype: torch.dtype) -> GPTNeoXForCausalLM:
    _config(check_model_folder(folder), str(folder / "config.json"))
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        model, report = GPTNeoXForCausalLM.from_pretrained(
            folder, dtype=dtype, ignore_mismatched_sizes=True, **options
        )
    except (SafetensorError, OSError, RuntimeError, KeyError) as error:
        raise UserError(f"{folder}: the checkpoint cannot be read: {_first_line(error)}") from error
    _check_complete(folder, report)
    return model


def _check_complete(folder: Path, report: dict) -> None:
    """Every tensor of the model is there in its shape, and no weight is left over (old masks may be)."""
    wrong = [f"{key} is missing" for key in sorted(report["missing_keys"])]
    for key, found, wanted in sorted(report["mismatched_keys"]):
        wrong.append(f"{key} has shape {list(found)}, not {list(wanted)}")
    left_over = (key for key in sorted(report["unexpected_keys"]) if key.endswith(".weight"))
    wrong += [f"{key} has no place in it" for key in left_over]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        raise UserError(f"{folder}: the checkpoint does not fit its config.json: {wrong[0]}{more}")


def _config(raw: dict, where: str) -> GPTNeoXConfig:
    """A config whose model this project computes as transformers does."""
    try:
        config = GPTNeoXConfig(**raw)
    except (StrictDataclassError, ArithmeticError, TypeError, ValueError) as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from error
    rope = config.rope_parameters
    if rope["rope_type"] != "default":
        raise UserError(
            f"{where}: rotary embedding of type {rope['rope_type']!r}; only 'default' (unscaled) works"
        )
    if not 0 <= rope.get("partial_rotary_factor", 1.0) <= 1:
        raise UserError(f"{where}: rotary fraction {rope['partial_rotary_factor']} is not between 0 and 1")
    if config.hidden_act not in ACT2FN:
        raise UserError(f"{where}: hidden_act {config.hidden_act!r} is not one of {', '.join(ACT2FN)}")
    if "quantization_config" in raw:
        raise UserError(f"{where}: quantized checkpoints are not supported; take the original one")
    return config


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def weight_bytes_per_token(model) -> int:
    """Bytes of weights that a decoded token must read: all but the input embedding's other rows.

    The state dict has packed weights and their scales too, but not tables such as the rotary frequencies. A
    tied embedding is in it a second time, as the LM head's.
    """
    stored = model.state_dict().items()
    return sum(_stored_bytes(tensor) for name, tensor in stored if name != "gpt_neox.embed_in.weight")


def _stored_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor, or of those that a quantized one is made of."""
    if not is_traceable_wrapper_subclass(tensor):
        return tensor.nbytes
    inner, _ = tensor.__tensor_flatten__()
    return sum(_stored_bytes(getattr(tensor, name)) for name in inner)


def cache_bytes_per_key(model) -> int:
    """Bytes of one cached token's keys and values over all layers."""
    config = model.config
    return 2 * config.num_hidden_layers * config.hidden_size * model.dtype.itemsize
