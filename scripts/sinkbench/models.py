"""GPT-NeoX models from the hub's files, a local folder, or random weights of a given shape.

safetensors only, no remote code. A hub model is read from the folder that `fetch` filled, so that
the machine that computes needs no network.
"""

from pathlib import Path

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from sinkbench.errors import UserError
from sinkbench.hub import local_folder
from sinkbench.model_folder import check_model_folder


def load_model(settings: dict, device: str) -> GPTNeoXForCausalLM:
    """The model of a config's `model` section on `device`, in eval mode.

    Raises UserError for another architecture, a missing or corrupt checkpoint, or a scaled rotary embedding.
    """
    dtype = getattr(torch, settings["dtype"])
    if settings["source"] == "random":
        model = random_model(settings["shape"], settings["seed"], dtype, device)
    else:
        model = _pretrained(local_folder(settings), dtype).to(device)
    return model.eval().requires_grad_(False)


def random_model(shape: dict, seed: int, dtype: torch.dtype, device: str) -> GPTNeoXForCausalLM:
    """Random weights, for times only: such a model has no perplexity."""
    torch.manual_seed(seed)
    config = GPTNeoXConfig(**shape)
    check_config(config, "model.shape")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return GPTNeoXForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def _pretrained(folder: Path, dtype: torch.dtype) -> GPTNeoXForCausalLM:
    check_config(GPTNeoXConfig(**check_model_folder(folder)), str(folder / "config.json"))
    try:
        model, report = GPTNeoXForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # safetensors, json and transformers raise many kinds for a damaged file
        raise UserError(f"{folder}: the checkpoint cannot be read: {str(error).splitlines()[0]}") from error
    incomplete = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if incomplete:
        raise UserError(f"{folder}: the checkpoint lacks or misfits {len(incomplete)} tensors: {incomplete[0]}")
    return model


def check_config(config: GPTNeoXConfig, where: str) -> None:
    """Refuse what the cache's own rotation would get wrong."""
    rope_type = config.rope_parameters["rope_type"]
    if rope_type != "default":
        raise UserError(f"{where}: rotary embedding of type {rope_type!r}; only 'default' (unscaled) is supported")


def weight_bytes_per_token(model) -> int:
    """Bytes of weights that one decoded token must read: all but the input embedding's other rows."""
    total = sum(parameter.nbytes for parameter in model.parameters())
    tied = model.config.tie_word_embeddings
    return total if tied else total - model.gpt_neox.embed_in.weight.nbytes


def cache_bytes_per_key(model) -> int:
    """Bytes of one cached token's keys and values over all layers."""
    config = model.config
    return 2 * config.num_hidden_layers * config.hidden_size * model.dtype.itemsize
