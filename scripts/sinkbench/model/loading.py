"""Models from the hub's files, a local folder, or random weights of a given shape.

safetensors only, no remote code. A hub model is read from the folder that `fetch` filled, so that
the machine that computes needs no network.
"""

import re
from dataclasses import fields
from pathlib import Path

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from sinkbench.artifacts.hub import local_folder
from sinkbench.artifacts.model_folder import CONFIG, Stored
from sinkbench.errors import UserError, first_line, shown
from sinkbench.model import families
from sinkbench.model.checkpoint import model_in
from sinkbench.model.families import Family, parts_of, shape_of

CLASS = re.compile(r"\b\w+Error: ")  # in what transformers says of a value
OLD_KEYS = {"rotary_pct", "rotary_emb_base"}  # what checkpoints call rope_parameters; transformers translates


def load_model(settings: dict, device: str) -> PreTrainedModel:
    """Load the model of a config's `model` section on `device`, in eval mode.

    Raises UserError for another architecture, a checkpoint that is not whole, and a config that asks for what
    this project does not compute (artifacts.model_folder).
    """
    dtype = getattr(torch, settings["dtype"])
    if settings["source"] == "random":
        model = random_model(settings["shape"], settings["seed"], dtype, device)
    else:
        model = _pretrained(local_folder(settings), dtype, device)
    return model.eval().requires_grad_(False)


def random_model(shape: dict, seed: int, dtype: torch.dtype, device: str) -> PreTrainedModel:
    """Build a model of random weights, for times only: such a model has no perplexity.

    Args:
        shape: arguments of a family's config class; its key model_type names the family.
    """
    where = "model.shape"
    family, arguments = families.read_shape(shape, where)
    given = {key: value for key, value in shape.items() if key != "model_type"}
    _check_keys(given, family, arguments)
    config = _config(family, given | arguments, where)
    torch.manual_seed(seed)
    return _built(family, config, dtype, device)


def _check_keys(shape: dict, family: Family, arguments: dict) -> None:
    """transformers takes any key."""
    kind = _class(family).config_class
    known = {field.name for field in fields(kind)} | arguments.keys() | OLD_KEYS
    if unknown := sorted(set(shape) - known):
        raise UserError(f"model.shape: unknown key {unknown[0]}; allowed are those of {kind.__name__}")


def _pretrained(folder: Path, dtype: torch.dtype, device: str) -> PreTrainedModel:
    """The model of a checkpoint; each of its tensors is read once, into its place."""
    family, arguments, stored = model_in(folder)
    model = _built(family, _config(family, arguments, str(folder / CONFIG)), dtype, "meta")
    state = {place: _read(tensors, dtype).to(device) for place, tensors in stored.items() if tensors}
    for place, shared in family.optional(arguments).items():
        _check_equal(stored[place] + stored[shared])
        state[place] = state[shared]
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    # Its frequencies are in no file, and computed nowhere but on a real device.
    base = model.base_model
    base.rotary_emb = type(base.rotary_emb)(model.config).to(device)
    return model


def _read(tensors: list[Stored], dtype: torch.dtype) -> torch.Tensor:
    """The one tensor that all of these are."""
    _check_equal(tensors)
    return _tensor(tensors[0]).to(dtype)


def _check_equal(tensors: list[Stored]) -> None:
    first, *others = tensors
    for other in others:
        if not torch.equal(_tensor(first), _tensor(other)):
            raise UserError(
                f"{other.path}: {other.name} differs from {first.name}, and both are for one place"
            )


def _tensor(stored: Stored) -> torch.Tensor:
    try:
        with safe_open(stored.path, "pt") as file:
            return file.get_tensor(stored.name)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{stored.path}: {stored.name} cannot be read: {first_line(error)}") from error


def _class(family: Family) -> type[PreTrainedModel]:
    return getattr(transformers, family.model)


def _built(family: Family, config: PreTrainedConfig, dtype: torch.dtype, device: str) -> PreTrainedModel:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return _class(family)(config)
    finally:
        torch.set_default_dtype(before)


def _config(family: Family, raw: dict, where: str) -> PreTrainedConfig:
    """A config whose model this project computes as transformers does."""
    try:
        config = _class(family).config_class(**raw)
    except (StrictDataclassError, ArithmeticError, TypeError, ValueError) as error:
        said = CLASS.sub("", " ".join(str(error).split()))
        raise UserError(f"{where}: {said}") from error
    if config.hidden_act not in ACT2FN:
        raise UserError(f"{where}: hidden_act {shown(config.hidden_act)} is not one of {', '.join(ACT2FN)}")
    return config


def weight_bytes_per_token(model) -> int:
    """Bytes of weights that a decoded token must read: all but the input embedding's other rows.

    The state dict has packed weights and their scales too, but not tables such as the rotary frequencies. A
    tied embedding is in it a second time, as the LM head's.
    """
    embedding = parts_of(model).embedding
    name = next(path for path, module in model.named_modules() if module is embedding)
    stored = model.state_dict().items()
    return sum(_stored_bytes(tensor) for path, tensor in stored if path != f"{name}.weight")


def _stored_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor, or of those that a quantized one is made of."""
    if not is_traceable_wrapper_subclass(tensor):
        return tensor.nbytes
    inner, _ = tensor.__tensor_flatten__()
    return sum(_stored_bytes(getattr(tensor, name)) for name in inner)


def cache_bytes_per_key(model) -> int:
    """Bytes of one cached token's keys and values over all layers."""
    shape = shape_of(model)
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * model.dtype.itemsize
