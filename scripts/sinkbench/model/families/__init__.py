"""Model families: a file each, named as the checkpoint's `model_type` names it.

A file defines `FAMILY`, a `Family` (see `_family`). It imports no torch: the workflow checks checkpoints and
counts memory with it. Nothing else in the library reads a config key or the name of a model's module.
"""

from sinkbench import registry
from sinkbench.artifacts.model_folder import DEFAULT_FAMILY
from sinkbench.errors import check_name, shown
from sinkbench.model.families._family import Family, ParallelLayer, Parts, Role, Shape

__all__ = [
    "FAMILIES",
    "Family",
    "ParallelLayer",
    "Parts",
    "Role",
    "Shape",
    "family_of",
    "parts_of",
    "read",
    "read_shape",
    "shape_of",
]

FOLDER = "model/families"
FAMILIES = {name: registry.load(FOLDER, name).FAMILY for name in registry.available(FOLDER)}


def read(raw: dict, where: str) -> tuple[Family, dict]:
    """The family of a config.json, and its arguments (Family.arguments); UserError says what is allowed."""
    name = raw.get("model_type")
    check_name(name if isinstance(name, str) else shown(name), FAMILIES, f"{where}: model_type")
    return FAMILIES[name], FAMILIES[name].arguments(raw, where)


def read_shape(shape: dict, where: str) -> tuple[Family, dict]:
    """The same of a config's `model.shape`, whose model_type may be left out."""
    return read({"model_type": DEFAULT_FAMILY} | shape, where)


def family_of(model) -> Family:
    """The family of a loaded model."""
    return FAMILIES[model.config.model_type]


def shape_of(model) -> Shape:
    """The sizes of a loaded model."""
    return family_of(model).shape(vars(model.config))


def parts_of(model) -> Parts:
    """Where embedding, layers, final norm and head of a loaded model are."""
    return family_of(model).parts(model)
