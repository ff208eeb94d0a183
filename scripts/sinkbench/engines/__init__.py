"""Decode engines: one file, one word. `sinkbench/engines/<word>.py` defines `CACHE` and a class `Engine`.

CACHE names the cache form that the engine decodes (growing, ring or fresh; a policy names the one it
needs). `Engine(model, policy, scorer)` offers:

    reset()           forget everything and free the cache
    prefill(prompt)   reset, read ids [T], return float32 logits [vocabulary] of the last token
    step(token)       read one id [1], return float32 logits [vocabulary]
    cache_bytes()     bytes of keys and values held now
"""

import ast
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from sinkbench.errors import UserError


def available() -> list[str]:
    """The engines that exist: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def cache_form(word: str) -> str:
    """The engine's CACHE, read without importing it (and torch with it)."""
    if word not in available():
        raise UserError(f"engine: {word!r} is not one of {', '.join(available())}")
    tree = ast.parse((Path(__path__[0]) / f"{word}.py").read_text())
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    return next(ast.literal_eval(node.value) for node in assigned if node.targets[0].id == "CACHE")


def build(word: str, model, policy, scorer):
    """The engine `word`, ready to decode `policy` with `model`."""
    return import_module(f"{__name__}.{word}").Engine(model, policy, scorer)
