"""Number formats of the weights: an implementation is a module, a format with its options a row of `table`.

`quantize(model, names, **options)` of an implementation replaces the weights of every linear layer whose last
name is one of `names`, in place, and returns the model; it raises errors.Unavailable with the reason.
"""

from importlib import import_module

# Names of a GPT-NeoX's linear layers by the part of the model that they belong to.
LINEAR_LAYERS = {
    "attention": ("query_key_value", "dense"),
    "mlp": ("dense_h_to_4h", "dense_4h_to_h"),
    "head": ("lm_head",),
}


def apply(row: dict, model):
    """`model` in the number format of a row (table.format_row)."""
    if row["implementation"] is None:
        return model
    names = tuple(name for part in row["parts"] for name in LINEAR_LAYERS[part])
    return import_module(f"{__name__}.{row['implementation']}").quantize(model, names, **row["options"])
