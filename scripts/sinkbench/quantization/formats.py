"""A model in a number format of the table."""

from importlib import import_module

from torch.nn import Linear
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sinkbench.errors import Unavailable
from sinkbench.model.families import family_of


def apply_format(row: dict, model):
    """`model` in the number format of a row (table.format_row).

    Raises:
        Unavailable: a layer that was asked for is as it was; libraries decline some without a word.
    """
    if row["implementation"] is None:
        return model
    linears = family_of(model).linears
    names = tuple(name for part in row["parts"] for name in linears[part])
    asked = [path for path, module in _linear(model) if path.split(".")[-1] in names]
    if missing := [name for name in names if not any(path.split(".")[-1] == name for path in asked)]:
        raise Unavailable(f"{row['name']}: the model has no layer called {missing[0]}")
    module = import_module(f"sinkbench.quantization.{row['implementation']}")
    quantized = module.quantize(model, names, **row["options"])
    left = [path for path, _ in _linear(quantized) if path in asked]
    if left:
        raise Unavailable(
            f"{row['name']}: {len(left)} of {len(asked)} layers were not quantized, such as {left[0]}"
        )
    return quantized


def _linear(model) -> list[tuple]:
    """(path, layer) of the linear layers with plain weights."""
    layers = ((path, module) for path, module in model.named_modules() if isinstance(module, Linear))
    return [(path, layer) for path, layer in layers if not is_traceable_wrapper_subclass(layer.weight)]
