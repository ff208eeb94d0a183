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
    index = [folder / INDEX] if (folder / INDEX).is_file() else []
    return [folder / CONFIG, *index, *sorted(set(_assigned(folder)))]


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
        if place not in places:
            wrong += [] if family.is_buffer(tensor.name, tensor.shape, arguments) else [_left_over(tensor)]
        elif tensor.shape != places[place]:
            wrong.append(f"{tensor.name} has shape {list(tensor.shape)}, not {list(places[place])}")
        elif tensor.dtype not in FLOATS:
            wrong.append(f"{tensor.name} is of {tensor.dtype}, not of {', '.join(FLOATS)}")
        else:
            filled[place].append(tensor)
    optional = family.optional(arguments)
    missing = [place for place in places if not filled[place] and place not in optional]
    if not wrong:
        wrong = [f"{place} is missing" for place in missing]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        raise UserError(f"{folder}: the checkpoint does not fit its {CONFIG}: {sorted(wrong)[0]}{more}")
    return filled


def _left_over(tensor: Stored) -> str:
    return f"{tensor.name} has no place in it"


def _tensors(folder: Path) -> list[Stored]:
    """All tensors of the files; UserError for one that is not where the index says, or is twice there."""
    files, found = _assigned(folder), []
    by_index = _index(folder)
    for path in sorted(set(files)):
        header = _header(path)
        for name, (dtype, shape) in header.items():
            if by_index is not None and name not in by_index:
                raise UserError(f"{path}: {name} is not listed in {INDEX}")
            if by_index is not None and by_index[name] != path:
                raise UserError(
                    f"{path}: {name} is there too, but {INDEX} assigns it to {by_index[name].name}"
                )
            found.append(Stored(path, name, dtype, shape))
    names = {(tensor.path, tensor.name) for tensor in found}
    for name, path in (by_index or {}).items():
        if (path, name) not in names:
            raise UserError(f"{path}: holds no {shown(name)}, which {INDEX} promises")
    return found


def _assigned(folder: Path) -> list[Path]:
    """The files of weights; UserError if they are not whole, or cannot be told from others."""
    index = _index(folder)
    single = folder / SINGLE
    if index is None and not single.is_file():
        others = "" if any(folder.glob("*.safetensors")) else "; other checkpoint formats are refused"
        raise UserError(f"{folder}: neither {SINGLE} nor {INDEX}{others}")
    if index is not None and single.is_file() and set(index.values()) != {single}:
        raise UserError(f"{folder}: both {SINGLE} and {INDEX} are there; remove the one that is not meant")
    return [single] if index is None else list(index.values())


def _index(folder: Path) -> dict[str, Path] | None:
    """The file of each tensor, as the index assigns them; None without an index."""
    path = folder / INDEX
    if not path.is_file():
        return None
    named = _read(path).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise UserError(f"{path}: weight_map is {shown(named)}, not a mapping of tensors to files")
    return {name: _shard(folder, path, file) for name, file in named.items()}


def _shard(folder: Path, index: Path, name) -> Path:
    """A file that the index names, inside the folder."""
    if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise UserError(f"{index}: weight_map names {shown(name)}, which is no file inside the folder")
    check_path(folder / name)
    if not (folder / name).is_file():
        raise UserError(f"{folder / name}: named by {INDEX}, but missing")
    return folder / name


def _header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """(number format, shape) by tensor. A file: 8 bytes of the header's length, a header in JSON, data."""
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
        header = {name: (about["dtype"], tuple(about["shape"])) for name, about in tensors.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise UserError(f"{path}: not a readable safetensors file, or cut short; copy it again") from None
    if (found := path.stat().st_size) != expected:
        raise UserError(f"{path}: cut short or grown: {found} bytes, not {expected}; copy it again")
    return header


def _read(path: Path) -> dict:
    try:
        content = _strict(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
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
