"""Check a local model folder without importing torch."""

import json
from pathlib import Path

from sinkbench.errors import UserError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"  # of a checkpoint in several files


def check_model_folder(folder: Path) -> dict:
    """Read config.json; UserError unless the folder holds a GPT-NeoX config and safetensors weights."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: no config.json there; a model folder holds config.json and *.safetensors")
    raw = _read(path)
    if raw.get("model_type") != "gpt_neox":
        found = raw.get("model_type")
        raise UserError(f"{path}: model_type {found!r}; only gpt_neox (Pythia, GPT-NeoX) is supported")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no *.safetensors file; other checkpoint formats are refused")
    if (folder / INDEX).is_file():
        _check_parts(folder)
    elif not (folder / SINGLE).is_file():
        raise UserError(f"{folder}: neither {SINGLE} nor {INDEX}")
    for path in sorted(folder.glob("*.safetensors")):
        _check_whole(path)
    return raw


def _check_whole(path: Path) -> None:
    """The file ends where its header says: 8 bytes of the header's length, a header in JSON, tensors."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            tensors = json.loads(file.read(min(length, path.stat().st_size)))
            ends = [about["data_offsets"][1] for name, about in tensors.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise UserError(f"{path}: not a readable safetensors file, or cut short; copy it again") from None
    expected = 8 + length + max(ends, default=0)
    if path.stat().st_size != expected:
        found = path.stat().st_size
        raise UserError(f"{path}: cut short or grown: {found} bytes, not {expected}; copy it again")


def _check_parts(folder: Path) -> None:
    """Every file that the index names is there."""
    for name in sorted(set(_read(folder / INDEX).get("weight_map", {}).values())):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: named by {INDEX}, but missing")


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object")
    return content
