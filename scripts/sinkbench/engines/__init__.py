"""Decode engines: an implementation is a module with a class `Engine`, a setting of one a row of `table`.

`Engine(model, policy, evaluator, **options)` raises errors.Unavailable where it cannot run, and offers:

    reset()                  forget everything; free a cache that grows
    prefill(prompts, max_new_tokens)   reset, read ids [batch, T], make room for `room` more tokens;
                             return float32 logits [batch, vocabulary] of the last token
    step(tokens)             read one id of each stream [batch], return float32 logits [batch, vocabulary]
    cache_bytes()            bytes of keys and values held now
    refresh                  of a refreshed cache, the stream's ring_refresh.RingRefresh
    compilation              what its steps have cost the compiler (compile_cost.CompileCost); may be left out

An engine whose kernels overlap also offers, for profiles,

    separate_launches()      from the next prefill on they do not
    bytes_read()             {kernel: bytes that its launches must read in the next step}

Logits of a step may be overwritten by the next one. An engine whose cache never changes size may keep its
memory, and what it compiled or captured for it, over `reset`; the next prefill overwrites all of it.
"""

from importlib import import_module


def implementation(row: dict):
    """The module of a row (table.engine_row)."""
    return import_module(f"{__name__}.{row['implementation']}")


def blocks(row: dict):
    """The class of a row that reads several tokens at once (see speculation.block_decoder)."""
    return import_module(f"{__name__}.{row['blocks']}").Blocks


def build(row: dict, model, policy, evaluator):
    """The engine of a row (table.engine_row), ready to decode `policy` with `model`."""
    return implementation(row).Engine(model, policy, evaluator, **row["options"])
