"""What a local model folder must hold, checked without importing torch."""

from pathlib import Path

from sinkbench.errors import UserError
from sinkbench.records import read_json


def check_model_folder(folder: Path) -> dict:
    """The raw config.json; UserError unless the folder holds a GPT-NeoX config and safetensors weights."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: no config.json there; a model folder holds config.json and *.safetensors")
    raw = read_json(path)
    if raw.get("model_type") != "gpt_neox":
        found = raw.get("model_type")
        raise UserError(f"{path}: model_type {found!r}; only gpt_neox (Pythia, GPT-NeoX) is supported")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no *.safetensors file; other checkpoint formats are refused")
    return raw
