"""Number formats of the weights: one file, one word. `quantizations/<word>.py` defines `quantize(model)`.

It returns a model that computes with the quantized weights, or raises errors.Unavailable with the reason.
"""

from importlib import import_module
from pkgutil import iter_modules


def available() -> list[str]:
    """The quantizations that exist: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def apply(word: str, model):
    """`model` in the number format `word`."""
    return import_module(f"{__name__}.{word}").quantize(model)
