"""A checkpoint in a local folder, checked without importing torch: its config, and a place for every tensor.

Nothing is guessed. The index, or the single file, says which file holds which tensor. A family's table says
which tensors there must be, in which shapes, and what its config may say. What is left over is refused.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sinkbench.artifacts import gpt_neox
from sinkbench.artifacts.files import check_path
from sinkbench.errors import UserError, check_name, shown

CONFIG, SINGLE = "config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"  # of a checkpoint in several files
ADAPTER = "adapter_config.json"  # of weights that are differences from those of another checkpoint
FLOATS = ("F64", "F32", "F16", "BF16")  # number formats of weights, as safetensors names them
FAMILIES = {"gpt_neox": gpt_neox}  # by model_type: what a config may say, and where tensors belong


@dataclass(frozen=True)
class Stored:
    """A tensor of a file."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def check_model_folder(folder: Path) -> dict:
    """Read config.json; UserError unless family, config and tensors are ones that this project computes.

    Returns:
        What the config says of the model, in the words of the family's config class, defaults included.
    """
    arguments, _ = model_in(folder)
    return arguments


def model_in(folder: Path) -> tuple[dict, dict[str, list[Stored]]]:
    """The config, as check_model_folder gives it, and the tensors for each place, which must be equal."""
    raw = _config(folder)
    kind = raw.get("model_type")
    check_name(kind if isinstance(kind, str) else shown(kind), FAMILIES, f"{folder / CONFIG}: model_type")
    family = FAMILIES[kind]
    arguments, tensors = family.arguments(raw, str(folder / CONFIG)), _tensors(folder)
    if (layers := arguments["num_hidden_layers"]) > len(tensors):  # before a table of so many is made
        raise UserError(
            f"{folder / CONFIG}: num_hidden_layers: {layers}, but there are {len(tensors)} tensors"
        )
    return arguments, _placed(folder, tensors, family, arguments)


def opened_files(folder: Path) -> list[Path]:
    """The files that a model is read from: its config, its index if it has one, and its weights."""
    check_path(folder)
    index = _index(folder)
    weights = [folder / SINGLE] if index is None else [folder / INDEX, *sorted(set(index.values()))]
    return [folder / CONFIG, *weights]


def _config(folder: Path) -> dict:
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: no {CONFIG} there; a model folder holds {CONFIG} and *.safetensors")
    if (folder / ADAPTER).is_file():
        raise UserError(f"{folder / ADAPTER}: an adapter; merge it into the weights first, and remove it")
    return _read(path)


def _placed(folder: Path, found: list[Stored], family, arguments: dict) -> dict[str, list[Stored]]:
    """Tensors by place; UserError for a place without one, and for a tensor without one."""
    places = family.places(arguments)
    filled: dict[str, list[Stored]] = {place: [] for place in places}
    wrong = []
    for tensor in found:
        place = family.OTHER_NAMES.get(tensor.name, tensor.name)
        if place in places:
            filled[place].append(tensor)
            wrong += _misfit(tensor, places[place])
        elif not family.is_buffer(tensor.name, tensor.shape, arguments):
            wrong.append(f"{tensor.name} has no place in it")
    empty = (place for place, tensors in filled.items() if not tensors)
    wrong = wrong or [f"{place} is missing" for place in empty if place not in family.optional(arguments)]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        raise UserError(f"{folder}: the checkpoint does not fit its {CONFIG}: {min(wrong)}{more}")
    return filled


def _misfit(tensor: Stored, shape: tuple[int, ...]) -> list[str]:
    """What keeps a tensor from its place, if anything does."""
    if tensor.shape != shape:
        return [f"{tensor.name} has shape {list(tensor.shape)}, not {list(shape)}"]
    if tensor.dtype not in FLOATS:
        return [f"{tensor.name} is of {tensor.dtype}, not of {', '.join(FLOATS)}"]
    return []


def _tensors(folder: Path) -> list[Stored]:
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
