"""The files of a checkpoint in a local folder, read without importing torch: config and headers of tensors.

Nothing is guessed. The index, or the single file, says which file holds which tensor.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sinkbench.artifacts.files import check_path
from sinkbench.errors import UserError, shown

CONFIG, SINGLE = "config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"  # of a checkpoint in several files
DEFAULT_FAMILY = "gpt_neox"  # model_type of random weights whose shape names none
ADAPTER = "adapter_config.json"  # of weights that are differences from those of another checkpoint


@dataclass(frozen=True)
class Stored:
    """A tensor of a file."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def opened_files(folder: Path) -> list[Path]:
    """The files that a model is read from: its config, its index if it has one, and its weights."""
    check_path(folder)
    index = _index(folder)
    weights = [folder / SINGLE] if index is None else [folder / INDEX, *sorted(set(index.values()))]
    return [folder / CONFIG, *weights]


def read_config(folder: Path) -> dict:
    """config.json as it is; UserError where there is none, or an adapter's."""
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: no {CONFIG} there; a model folder holds {CONFIG} and *.safetensors")
    if (folder / ADAPTER).is_file():
        raise UserError(f"{folder / ADAPTER}: an adapter; merge it into the weights first, and remove it")
    return _read(path)


def tensors_in(folder: Path) -> list[Stored]:
    """All tensors of the files; UserError for one that is not where the index says, or is twice there."""
    if (index := _index(folder)) is None:
        return _stored(folder / SINGLE)
    found = [tensor for path in sorted(set(index.values())) for tensor in _stored(path)]
    for path, name in ((tensor.path, tensor.name) for tensor in found):
        if name not in index:
            raise UserError(f"{path}: {name} is not listed in {INDEX}")
        if index[name] != path:
            raise UserError(f"{path}: {name} is there too, but {INDEX} assigns it to {index[name].name}")
    if lost := index.keys() - {tensor.name for tensor in found}:
        name = min(lost)
        raise UserError(f"{index[name]}: holds no {shown(name)}, which {INDEX} promises")
    return found


def _index(folder: Path) -> dict[str, Path] | None:
    """The file of each tensor, as the index assigns them; None for a checkpoint in the single file.

    Raises:
        UserError: the files of weights are not there, or cannot be told from others.
    """
    path, single = folder / INDEX, folder / SINGLE
    if not path.is_file():
        if single.is_file():
            return None
        others = "" if any(folder.glob("*.safetensors")) else "; other checkpoint formats are refused"
        raise UserError(f"{folder}: neither {SINGLE} nor {INDEX}{others}")
    named = _read(path).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise UserError(f"{path}: weight_map is {shown(named)}, not a mapping of tensors to files")
    files = {shown(file): _shard(folder, path, file) for file in named.values()}
    if single.is_file() and {*files.values()} != {single}:
        raise UserError(f"{folder}: both {SINGLE} and {INDEX} are there; remove the one that is not meant")
    return {name: files[shown(file)] for name, file in named.items()}


def _shard(folder: Path, index: Path, name) -> Path:
    """A file that the index names, inside the folder."""
    if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise UserError(f"{index}: weight_map names {shown(name)}, which is no file inside the folder")
    check_path(folder / name)
    if not (folder / name).is_file():
        raise UserError(f"{folder / name}: named by {INDEX}, but missing")
    return folder / name


def _stored(path: Path) -> list[Stored]:
    """The tensors of a file: 8 bytes of the header's length, a header in JSON, and the numbers."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, path.stat().st_size))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        tensors = _strict(text)
        tensors.pop("__metadata__", None)
        expected = 8 + length + max((about["data_offsets"][1] for about in tensors.values()), default=0)
        stored = [
            Stored(path, name, about["dtype"], tuple(about["shape"])) for name, about in tensors.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise UserError(f"{path}: not a readable safetensors file, or cut short; copy it again") from None
    if (found := path.stat().st_size) != expected:
        raise UserError(f"{path}: cut short or grown: {found} bytes, not {expected}; copy it again")
    return stored


def _read(path: Path) -> dict:
    try:
        content = _strict(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object")
    return content


def _strict(text: bytes):
    """JSON in which no key is given twice."""
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)} is given twice")
    return content
