"""Attention of a block of tokens of one stream over one ring, for the fused kernels: drafts are verified so.

Keys and values of the ring are read once for all tokens of the block, which are the columns of a product: 8,
or 16, as the matrix units want them. A ring of W + B recent slots holds what the first and the last token of
a block of up to B see (see speculation.block_ring). The sinks are stored once: they stay rotated at their own
index, and every column meets them with its own query, rotated at min(t, budget). Which token a slot holds
follows from the newest index, so what was taken back is never seen. A block of one token is read as that of
a stream is (split_attention).
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.matmul import columns_of
from sinkbench.engines.fused.matvec import wait_for_inputs
from sinkbench.engines.fused.split_attention import NOTHING, age_of, load_vectors, wait_for_query

LEAST = tl.constexpr(16)  # keys that the matrix units take; a block has no more tokens
PARTS = tl.constexpr(32)  # of columns and splits that are added up at a time: registers are short


@triton.jit
def load_block(x, tables, part: tl.constexpr, scale, dtype: tl.constexpr, HEADS: tl.constexpr,
               HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """One head's vectors of all tokens times `scale`, rotated, as `dtype`: [WIDE, columns] and the rest.

    Args:
        part: which two of a token's tables [4, BH] rotate: those at t (0), or at min(t, budget) (1).
    """
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    wide = rotated_block(x, tables, part, tl.arange(0, WIDE), HEADS, HEAD, ROTARY, BH, BLOCK)
    d = WIDE + tl.arange(0, triton.next_power_of_2(HEAD - WIDE))
    rest = rotated_block(x, tables, part, d, HEADS, HEAD, ROTARY, BH, BLOCK)
    return (wide * scale).to(dtype), (rest * scale).to(dtype)


@triton.jit
def rotated_block(x, tables, part: tl.constexpr, d, HEADS: tl.constexpr, HEAD: tl.constexpr,
                  ROTARY: tl.constexpr, BH: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """Dimensions d of a head's vectors x [BLOCK, 3 HEADS HEAD], rotated: [d, columns]; zeros outside."""
    HALF: tl.constexpr = ROTARY // 2
    column = tl.arange(0, columns_of(BLOCK))[None, :]
    inside = (column < BLOCK) & (d < HEAD)[:, None]
    partner = tl.where(d < HALF, d + HALF, tl.where(d < ROTARY, d - HALF, d))
    x += column * (3 * HEADS * HEAD)
    tables += column * (4 * BH) + 2 * part * BH
    own = tl.load(x + d[:, None], mask=inside, other=0.0, cache_modifier=".cg")
    other = tl.load(x + partner[:, None], mask=inside, other=0.0, cache_modifier=".cg")
    cosine = tl.load(tables + d[:, None], mask=inside, other=0.0)
    return own * cosine + other * tl.load(tables + BH + d[:, None], mask=inside, other=0.0)


@triton.jit
def absorb_columns(top, weight, total, queries, keys, values, live):
    """One step of online softmax over keys [n] for every column, where `live` [n, columns]."""
    dtype: tl.constexpr = values[0].dtype
    scores = tl.dot(keys[0], queries[0], input_precision="ieee")
    scores = tl.where(live, tl.dot(keys[1], queries[1], scores, input_precision="ieee"), NOTHING)
    new_top = tl.maximum(top, tl.max(scores, 0))
    share = tl.exp(scores - new_top[None, :])
    shrink = tl.exp(top - new_top)
    weight = weight * shrink + tl.sum(share, 0)
    share = share.to(dtype)
    wide = tl.dot(tl.trans(values[0]), share, total[0] * shrink[None, :], input_precision="ieee")
    rest = tl.dot(tl.trans(values[1]), share, total[1] * shrink[None, :], input_precision="ieee")
    return new_top, weight, (wide, rest)


@triton.jit
def store_columns(place, vectors, inside, HEAD: tl.constexpr):
    """Write vectors [WIDE, columns] and the rest to the places [columns] where `inside`."""
    WIDE: tl.constexpr = vectors[0].shape[0]
    dtype: tl.constexpr = place.dtype.element_ty
    d = tl.arange(0, WIDE)
    tl.store(place[None, :] + d[:, None], vectors[0].to(dtype), mask=inside[None, :])
    d = WIDE + tl.arange(0, vectors[1].shape[0])
    tl.store(place[None, :] + d[:, None], vectors[1].to(dtype), mask=inside[None, :] & (d < HEAD)[:, None])


@triton.jit
def slot_of(row, first, slots, SINKS: tl.constexpr):
    """Slots of the block's tokens `row`."""
    slot = first + row
    return tl.where(slot < slots, slot, slot - (slots - SINKS))


@triton.jit
def store_block(
    new, keys, values, first, tables, slots,
    SINKS: tl.constexpr, HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the block's keys and values to their slots."""
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    column = tl.arange(0, columns_of(BLOCK))
    slot = slot_of(column, first, slots, SINKS)
    rotated = load_block(
        new + HEAD, tables, 0, 1.0, keys.dtype.element_ty, HEADS, HEAD, ROTARY, BH, BLOCK
    )  # fmt: skip
    store_columns(keys + slot * HEAD, rotated, column < BLOCK, HEAD)
    place = new + 2 * HEAD + column[None, :] * (3 * HEADS * HEAD)
    d = tl.arange(0, WIDE)[:, None]
    wide = tl.load(place + d, mask=(column < BLOCK)[None, :], other=0.0, cache_modifier=".cg")
    d = WIDE + tl.arange(0, triton.next_power_of_2(HEAD - WIDE))[:, None]
    inside = (column < BLOCK)[None, :] & (d < HEAD)
    rest = tl.load(place + d, mask=inside, other=0.0, cache_modifier=".cg")
    store_columns(values + slot * HEAD, (wide, rest), column < BLOCK, HEAD)


@triton.jit
def absorb_block(
    top, weight, total, keys, values, first, recent, queries, slots,
    SINKS: tl.constexpr, HEAD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Attention of the block's tokens over each other, whose keys and values are in their slots."""
    row = tl.arange(0, LEAST)
    slot = slot_of(row, first, slots, SINKS)
    own_keys = load_vectors(keys, slot, row < BLOCK, HEAD, ".cg")
    own_values = load_vectors(values, slot, row < BLOCK, HEAD, ".cg")
    back = tl.arange(0, columns_of(BLOCK))[None, :] - row[:, None]
    live = (back >= 0) & (back <= recent) & (row < BLOCK)[:, None]
    return absorb_columns(top, weight, total, queries, own_keys, own_values, live)


@triton.jit
def absorb_sinks(
    top, weight, total, new, keys, values, tables, scale,
    SINKS: tl.constexpr, HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    BS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Attention over the sinks too, by queries that are rotated at min(t, budget)."""
    capped = load_block(new, tables, 1, scale, keys.dtype.element_ty, HEADS, HEAD, ROTARY, BH, BLOCK)
    n = tl.arange(0, BS)
    sink_keys = load_vectors(keys, n, n < SINKS, HEAD, "")
    sink_values = load_vectors(values, n, n < SINKS, HEAD, "")
    live = (n < SINKS)[:, None] & (tl.arange(0, columns_of(BLOCK)) < BLOCK)[None, :]
    return absorb_columns(top, weight, total, capped, sink_keys, sink_values, live)


@triton.jit
def seen(slot, first, earlier, recent, slots, end, SINKS: tl.constexpr, BLOCK: tl.constexpr):
    """Whether each column sees the earlier token that a slot [n] below `end` holds: [n, columns]."""
    back = age_of(slot, first, slots, SINKS)  # before the block's first token
    held = (back <= earlier) & (slot < end)
    return held[:, None] & (back[:, None] + tl.arange(0, columns_of(BLOCK))[None, :] <= recent)


@triton.jit
def attend_block(
    pid, qkv, keys, values, state, tables, partial, out, ready, slots, share, recent, scale,
    HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    SINKS: tl.constexpr, BS: tl.constexpr, SPLITS: tl.constexpr, BKEY: tl.constexpr,
    QKV_BN: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One split, `share` keys, of one head, for a block of tokens.

    The last split has none, and takes the block itself and the sinks.
    """
    split = pid % SPLITS
    head = pid // SPLITS
    keys += head.to(tl.int64) * slots * HEAD
    values += head.to(tl.int64) * slots * HEAD
    begin = SINKS + split * share
    end = tl.minimum(begin + share, slots)
    wait_for_inputs(PDL)
    wait_for_query(ready, head, QKV_BN, 3 * HEAD)
    first = tl.load(state).to(tl.int32)  # slot of the block's first token
    earlier = tl.load(state + 1).to(tl.int32)  # tokens that the ring holds before it
    new = qkv + head * 3 * HEAD
    if split == SPLITS - 1:
        store_block(new, keys, values, first, tables, slots, SINKS, HEADS, HEAD, ROTARY, BH, BLOCK)
    queries = load_block(new, tables, 0, scale, keys.dtype.element_ty, HEADS, HEAD, ROTARY, BH, BLOCK)
    top = tl.full((columns_of(BLOCK),), NOTHING, tl.float32)
    weight = tl.zeros((columns_of(BLOCK),), tl.float32)
    total = (tl.zeros(queries[0].shape, tl.float32), tl.zeros(queries[1].shape, tl.float32))
    # The block's own slots may be written meanwhile. They are not `seen`: the ring is longer than a window.
    for start in tl.range(begin, end, BKEY, num_stages=2):
        s = start + tl.arange(0, BKEY)
        some_keys = load_vectors(keys, s, s < end, HEAD, "")
        some_values = load_vectors(values, s, s < end, HEAD, "")
        live = seen(s, first, earlier, recent, slots, end, SINKS, BLOCK)
        top, weight, total = absorb_columns(top, weight, total, queries, some_keys, some_values, live)
    if split == SPLITS - 1:
        tl.debug_barrier()  # what other threads of this program have stored is read
        top, weight, total = absorb_block(
            top, weight, total, keys, values, first, recent, queries, slots, SINKS, HEAD, BLOCK
        )  # fmt: skip
        if SINKS > 0:
            top, weight, total = absorb_sinks(
                top, weight, total, new, keys, values, tables, scale,
                SINKS, HEADS, HEAD, ROTARY, BH, BS, BLOCK,
            )  # fmt: skip
    finish_block(split, head, top, weight, total, partial, out, HEADS, HEAD, SPLITS, BLOCK)


@triton.jit
def finish_block(
    split, head, top, weight, total, partial, out,
    HEADS: tl.constexpr, HEAD: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Leave a split's part of the head's outputs [BLOCK, HEAD]; the last to arrive adds all up."""
    tops, weights, totals, arrivals = partial
    column = tl.arange(0, columns_of(BLOCK))
    of_column = column * HEADS + head  # a head of a token, as split_attention counts those of streams
    part = of_column * SPLITS + split
    tl.store(tops + part, top, mask=column < BLOCK)
    tl.store(weights + part, weight, mask=column < BLOCK)
    store_columns(totals + part * HEAD, total, column < BLOCK, HEAD)
    tl.debug_barrier()  # all threads of the program have stored before one of them reports it
    arrived = tl.atomic_add(arrivals + head, 1, sem="acq_rel")
    if arrived == SPLITS - 1:
        add_up_columns(head, tops, weights, totals, out, HEADS, HEAD, SPLITS, BLOCK)
        tl.store(arrivals + head, 0)


@triton.jit
def add_up_columns(
    head, tops, weights, totals, out,
    HEADS: tl.constexpr, HEAD: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The head's outputs [BLOCK, HEAD] from its splits, all tokens at once: one by one they queue."""
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    REST: tl.constexpr = triton.next_power_of_2(HEAD - WIDE)
    FEW: tl.constexpr = triton.next_power_of_2(BLOCK)
    SOME: tl.constexpr = min(SPLITS, PARTS // FEW)
    row = tl.arange(0, FEW)
    inside = (row < BLOCK)[:, None]
    of_row = row * HEADS + head
    part = (of_row * SPLITS)[:, None] + tl.arange(0, SPLITS)[None, :]
    top = tl.load(tops + part, mask=inside, other=0.0, cache_modifier=".cg")
    weight = tl.load(weights + part, mask=inside, other=1.0, cache_modifier=".cg")
    highest = tl.max(top, 1)[:, None]
    weight = tl.sum(weight * tl.exp(top - highest), 1)[:, None]
    wide_total = tl.zeros((FEW, WIDE), tl.float32)
    rest_total = tl.zeros((FEW, REST), tl.float32)
    for begin in tl.range(0, SPLITS, SOME):
        some = (of_row * SPLITS)[:, None] + begin + tl.arange(0, SOME)[None, :]
        share = tl.exp(tl.load(tops + some, mask=inside, other=0.0, cache_modifier=".cg") - highest)
        kept = tl.reshape(tl.broadcast_to(inside, some.shape), (FEW * SOME,))
        wide, rest = load_vectors(totals, tl.reshape(some, (FEW * SOME,)), kept, HEAD, ".cg")
        wide_total += tl.sum(tl.reshape(wide, (FEW, SOME, WIDE)) * share[:, :, None], 1)
        rest_total += tl.sum(tl.reshape(rest, (FEW, SOME, REST)) * share[:, :, None], 1)
    outputs = (tl.trans(wide_total / weight), tl.trans(rest_total / weight))
    store_columns(out + of_row * HEAD, outputs, row < BLOCK, HEAD)
