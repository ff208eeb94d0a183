"""Decode engines: one file, one word. `sinkbench/engines/<word>.py` defines `CACHES` and a class `Engine`.

CACHES names the cache forms that the engine decodes (growing, ring, fresh, pruned, refreshed, observed; a
policy names the one it needs), MAX_BATCH how many streams it decodes in step (1 if it is not defined).
`Engine(model, policy, scorer)` raises errors.Unavailable where it cannot run, and offers:

    reset()                  forget everything and free the cache
    prefill(prompts, room)   reset, read ids [batch, T], make room for `room` more tokens;
                             return float32 logits [batch, vocabulary] of the last token
    step(tokens)             read one id of each stream [batch], return float32 logits [batch, vocabulary]
    cache_bytes()            bytes of keys and values held now
    refresh                  of a refreshed cache, the stream's ring_refresh.RingRefresh
    compilation              what its steps have cost the compiler (compile_cost.CompileCost); may be left out

Logits of a step may be overwritten by the next one. An engine whose cache never changes size may keep its
memory, and what it compiled or captured for it, over `reset`; the next prefill overwrites all of it.
"""

import ast
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from sinkbench.errors import UserError


def available() -> list[str]:
    """The engines that exist: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def cache_forms(word: str) -> tuple[str, ...]:
    """The engine's CACHES, read without importing it (and torch with it)."""
    return _constants(word)["CACHES"]


def max_batch(word: str) -> int:
    """Streams that the engine can decode in step."""
    return _constants(word).get("MAX_BATCH", 1)


def build(word: str, model, policy, scorer):
    """The engine `word`, ready to decode `policy` with `model`."""
    return import_module(f"{__name__}.{word}").Engine(model, policy, scorer)


def _constants(word: str) -> dict:
    """The capitalised constants of an engine's file."""
    if word not in available():
        raise UserError(f"engine: {word!r} is not one of {', '.join(available())}")
    tree = ast.parse((Path(__path__[0]) / f"{word}.py").read_text())
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    named = [(node.targets[0].id, node.value) for node in assigned]
    return {name: ast.literal_eval(value) for name, value in named if name in ("CACHES", "MAX_BATCH")}
