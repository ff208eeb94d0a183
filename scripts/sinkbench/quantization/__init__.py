"""Number formats of the weights: an implementation is a module, a format with its options a row of `table`.

`quantize(model, names, **options)` of an implementation replaces the weights of every linear layer whose last
name is one of `names`, in place, and returns the model; it raises errors.Unavailable with the reason.
"""

from importlib import import_module

from sinkbench.errors import Unavailable

# Names of a GPT-NeoX's linear layers by the part of the model that they belong to.
LINEAR_LAYERS = {
    "attention": ("query_key_value", "dense"),
    "mlp": ("dense_h_to_4h", "dense_4h_to_h"),
    "head": ("lm_head",),
}


def apply(row: dict, model):
    """`model` in the number format of a row (table.format_row).

    Raises:
        Unavailable: a layer that was asked for is as it was; libraries decline some without a word.
    """
    if row["implementation"] is None:
        return model
    names = tuple(name for part in row["parts"] for name in LINEAR_LAYERS[part])
    asked = [path for path, module in _linear(model) if path.split(".")[-1] in names]
    if missing := [name for name in names if not any(path.split(".")[-1] == name for path in asked)]:
        raise Unavailable(f"{row['name']}: the model has no layer called {missing[0]}")
    module = import_module(f"{__name__}.{row['implementation']}")
    quantized = module.quantize(model, names, **row["options"])
    left = [path for path, _ in _linear(quantized) if path in asked]
    if left:
        raise Unavailable(
            f"{row['name']}: {len(left)} of {len(asked)} layers were not quantized, such as {left[0]}"
        )
    return quantized


def _linear(model) -> list[tuple]:
    """(path, layer) of the linear layers with plain weights."""
    from torch.nn import Linear  # here, since planning reads the table of this room
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass

    layers = ((path, module) for path, module in model.named_modules() if isinstance(module, Linear))
    return [(path, layer) for path, layer in layers if not is_traceable_wrapper_subclass(layer.weight)]
