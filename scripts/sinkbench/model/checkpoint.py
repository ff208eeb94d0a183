"""A checkpoint in a local folder, checked without importing torch: its config, and a place for every tensor.

A family says which tensors there must be, in which shapes, and what its config may say. What is left over is
refused.
"""

from pathlib import Path

from sinkbench.artifacts.model_folder import CONFIG, Stored, read_config, tensors_in
from sinkbench.errors import UserError
from sinkbench.model import families
from sinkbench.model.families import Family, Shape

FLOATS = ("F64", "F32", "F16", "BF16")  # number formats of weights, as safetensors names them


def check_model_folder(folder: Path) -> Shape:
    """The sizes of a model; UserError unless this project computes its family, config and tensors."""
    family, arguments, _ = model_in(folder)
    return family.shape(arguments)


def model_in(folder: Path) -> tuple[Family, dict, dict[str, list[Stored]]]:
    """Family, arguments of its config class, and the tensors for each place, which must be equal."""
    family, arguments = families.read(read_config(folder), str(folder / CONFIG))
    tensors = tensors_in(folder)
    if (layers := family.shape(arguments).layers) > len(tensors):  # before a table of so many is made
        raise UserError(
            f"{folder / CONFIG}: num_hidden_layers: {layers}, but there are {len(tensors)} tensors"
        )
    return family, arguments, _placed(folder, tensors, family, arguments)


def _placed(folder: Path, found: list[Stored], family: Family, arguments: dict) -> dict[str, list[Stored]]:
    """Tensors by place; UserError for a place without one, and for a tensor without one."""
    places = family.places(arguments)
    filled: dict[str, list[Stored]] = {place: [] for place in places}
    wrong = []
    for tensor in found:
        place = family.other_names.get(tensor.name, tensor.name)
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
