"""Attention of a block of tokens of one stream over one ring, for the fused kernels: drafts are verified so.

Keys and values of the ring are read once for all tokens of the block, which are the rows of a tile of 16.
A ring of W + B recent slots holds what the first and the last token of a block of up to B see (see
speculation.block_ring). The sinks are stored once: they stay rotated at their own index, and every row meets
them with its own query, rotated at min(t, budget). Which token a slot holds follows from the newest index,
so what was taken back is never seen.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.l2_prefetch import prefetch_l2
from sinkbench.engines.fused.matvec import wait_for_inputs
from sinkbench.engines.fused.split_attention import NOTHING, load_vectors, wait_for_query

ROWS = tl.constexpr(16)  # of a tile of queries, as the matrix units want them
PARTS = tl.constexpr(32)  # of rows and splits that are added up at a time: registers are short


@triton.jit
def load_rows(x, tables, part: tl.constexpr, scale, dtype: tl.constexpr, HEADS: tl.constexpr,
              HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """One head's vectors of all tokens times `scale`, rotated, as `dtype`: [ROWS, WIDE] and the rest.

    Args:
        part: which two of a token's tables [4, BH] rotate: those at t (0), or at min(t, budget) (1).
    """
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    wide = rotated_rows(x, tables, part, tl.arange(0, WIDE), HEADS, HEAD, ROTARY, BH, BLOCK)
    d = WIDE + tl.arange(0, triton.next_power_of_2(HEAD - WIDE))
    rest = rotated_rows(x, tables, part, d, HEADS, HEAD, ROTARY, BH, BLOCK)
    return (wide * scale).to(dtype), (rest * scale).to(dtype)


@triton.jit
def rotated_rows(x, tables, part: tl.constexpr, d, HEADS: tl.constexpr, HEAD: tl.constexpr,
                 ROTARY: tl.constexpr, BH: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """Dimensions d of a head's vectors x [BLOCK, 3 HEADS HEAD], rotated: [ROWS, d]; zeros outside."""
    HALF: tl.constexpr = ROTARY // 2
    row = tl.arange(0, ROWS)[:, None]
    inside = (row < BLOCK) & (d < HEAD)[None, :]
    partner = tl.where(d < HALF, d + HALF, tl.where(d < ROTARY, d - HALF, d))
    x += row * (3 * HEADS * HEAD)
    tables += row * (4 * BH) + 2 * part * BH
    own = tl.load(x + d[None, :], mask=inside, other=0.0, cache_modifier=".cg")
    other = tl.load(x + partner[None, :], mask=inside, other=0.0, cache_modifier=".cg")
    cosine = tl.load(tables + d[None, :], mask=inside, other=0.0)
    return own * cosine + other * tl.load(tables + BH + d[None, :], mask=inside, other=0.0)


@triton.jit
def scores_of(queries, keys):
    """Products [ROWS, n] of queries with keys [n]."""
    product = tl.dot(queries[0], tl.trans(keys[0]), input_precision="ieee")
    return tl.dot(queries[1], tl.trans(keys[1]), product, input_precision="ieee")


@triton.jit
def absorb_rows(top, weight, total, queries, keys, values, live):
    """One step of online softmax over keys [n] for every row, where `live` [ROWS, n]."""
    dtype: tl.constexpr = values[0].dtype
    scores = tl.where(live, scores_of(queries, keys), NOTHING)
    new_top = tl.maximum(top, tl.max(scores, 1))
    share = tl.exp(scores - new_top[:, None])
    shrink = tl.exp(top - new_top)
    weight = weight * shrink + tl.sum(share, 1)
    share = share.to(dtype)
    wide = tl.dot(share, values[0], total[0] * shrink[:, None], input_precision="ieee")
    rest = tl.dot(share, values[1], total[1] * shrink[:, None], input_precision="ieee")
    return new_top, weight, (wide, rest)


@triton.jit
def store_rows(place, vectors, inside, HEAD: tl.constexpr):
    """Write vectors [ROWS, WIDE] and the rest to the places [ROWS] where `inside`."""
    WIDE: tl.constexpr = vectors[0].shape[1]
    dtype: tl.constexpr = place.dtype.element_ty
    d = tl.arange(0, WIDE)
    tl.store(place[:, None] + d[None, :], vectors[0].to(dtype), mask=inside[:, None])
    d = WIDE + tl.arange(0, vectors[1].shape[1])
    tl.store(place[:, None] + d[None, :], vectors[1].to(dtype), mask=inside[:, None] & (d < HEAD)[None, :])


@triton.jit
def absorb_block(
    top, weight, total, new, keys, values, first, recent, queries, tables, slots,
    SINKS: tl.constexpr, HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the block's keys and values to their slots; attention of its tokens over each other too."""
    dtype: tl.constexpr = keys.dtype.element_ty
    row = tl.arange(0, ROWS)
    own_keys = load_rows(new + HEAD, tables, 0, 1.0, dtype, HEADS, HEAD, ROTARY, BH, BLOCK)
    wide, rest = load_vectors(new + 2 * HEAD, row * (3 * HEADS), row < BLOCK, HEAD, ".cg")
    own_values = (wide.to(dtype), rest.to(dtype))
    slot = first + row
    slot = tl.where(slot < slots, slot, slot - (slots - SINKS))
    store_rows(keys + slot * HEAD, own_keys, row < BLOCK, HEAD)
    store_rows(values + slot * HEAD, own_values, row < BLOCK, HEAD)
    back = row[:, None] - row[None, :]
    live = (back >= 0) & (back <= recent) & (row < BLOCK)[None, :]
    return absorb_rows(top, weight, total, queries, own_keys, own_values, live)


@triton.jit
def absorb_sinks(
    top, weight, total, new, keys, values, tables, scale,
    SINKS: tl.constexpr, HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    BS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Attention over the sinks too, by queries that are rotated at min(t, budget)."""
    capped = load_rows(new, tables, 1, scale, keys.dtype.element_ty, HEADS, HEAD, ROTARY, BH, BLOCK)
    n = tl.arange(0, BS)
    sink_keys = load_vectors(keys, n, n < SINKS, HEAD, "")
    sink_values = load_vectors(values, n, n < SINKS, HEAD, "")
    live = (n < SINKS)[None, :] & (tl.arange(0, ROWS) < BLOCK)[:, None]
    return absorb_rows(top, weight, total, capped, sink_keys, sink_values, live)


@triton.jit
def seen(slot, first, earlier, recent, slots, end, SINKS: tl.constexpr):
    """Whether each row sees the earlier token that a slot [n] below `end` holds: [ROWS, n]."""
    back = first - slot
    back = tl.where(back <= 0, back + slots - SINKS, back)  # before the block's first token
    held = (back <= earlier) & (slot < end)
    return held[None, :] & (back[None, :] + tl.arange(0, ROWS)[:, None] <= recent)


@triton.jit
def attend_block(
    pid, qkv, keys, values, state, tables, partial, out, ready, slots, share, recent, scale,
    HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    SINKS: tl.constexpr, BS: tl.constexpr, SPLITS: tl.constexpr, BKEY: tl.constexpr,
    QKV_BN: tl.constexpr, BLOCK: tl.constexpr, LINES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One split, `share` keys, of one head, for a block of tokens; split 0 also takes them and the sinks."""
    split = pid % SPLITS
    head = pid // SPLITS
    keys += head.to(tl.int64) * slots * HEAD
    values += head.to(tl.int64) * slots * HEAD
    begin = SINKS + split * share
    end = tl.minimum(begin + share, slots)
    s = begin + tl.arange(0, BKEY)
    some_keys = load_vectors(keys, s, s < end, HEAD, "")
    some_values = load_vectors(values, s, s < end, HEAD, "")
    nbytes = (end - begin) * (HEAD * keys.dtype.element_ty.primitive_bitwidth // 8)
    prefetch_l2(keys + begin * HEAD, 0, LINES, nbytes)
    prefetch_l2(values + begin * HEAD, 0, LINES, nbytes)
    wait_for_inputs(PDL)
    wait_for_query(ready, head, QKV_BN, 3 * HEAD)
    first = tl.load(state).to(tl.int32)  # slot of the block's first token
    earlier = tl.load(state + 1).to(tl.int32)  # tokens that the ring holds before it
    new = qkv + head * 3 * HEAD
    queries = load_rows(new, tables, 0, scale, keys.dtype.element_ty, HEADS, HEAD, ROTARY, BH, BLOCK)
    top = tl.full((ROWS,), NOTHING, tl.float32)
    weight = tl.zeros((ROWS,), tl.float32)
    total = (tl.zeros(queries[0].shape, tl.float32), tl.zeros(queries[1].shape, tl.float32))
    while begin < end:
        live = seen(s, first, earlier, recent, slots, end, SINKS)
        begin += BKEY
        s = begin + tl.arange(0, BKEY)
        next_keys = load_vectors(keys, s, s < end, HEAD, "")  # on their way while those before are multiplied
        next_values = load_vectors(values, s, s < end, HEAD, "")
        top, weight, total = absorb_rows(top, weight, total, queries, some_keys, some_values, live)
        some_keys = next_keys
        some_values = next_values
    if split == 0:  # last, when the registers of the first keys and values are free
        top, weight, total = absorb_block(
            top, weight, total, new, keys, values, first, recent, queries, tables, slots,
            SINKS, HEADS, HEAD, ROTARY, BH, BLOCK,
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
    row = tl.arange(0, ROWS)
    of_row = row * HEADS + head  # a head of a row, as split_attention counts those of streams
    if SPLITS == 1:
        outputs = (total[0] / weight[:, None], total[1] / weight[:, None])
        store_rows(out + of_row * HEAD, outputs, row < BLOCK, HEAD)
    else:
        part = of_row * SPLITS + split
        tl.store(tops + part, top, mask=row < BLOCK)
        tl.store(weights + part, weight, mask=row < BLOCK)
        store_rows(totals + part * HEAD, total, row < BLOCK, HEAD)
        tl.debug_barrier()  # all threads of the program have stored before one of them reports it
        arrived = tl.atomic_add(arrivals + head, 1, sem="acq_rel")
        if arrived == SPLITS - 1:
            add_up_rows(head, tops, weights, totals, out, HEADS, HEAD, SPLITS, BLOCK)
            tl.store(arrivals + head, 0)


@triton.jit
def add_up_rows(
    head, tops, weights, totals, out,
    HEADS: tl.constexpr, HEAD: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The head's outputs [BLOCK, HEAD] from its splits, of all rows at once: one by one they would queue."""
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
    for first in tl.range(0, SPLITS, SOME):
        some = (of_row * SPLITS)[:, None] + first + tl.arange(0, SOME)[None, :]
        share = tl.exp(tl.load(tops + some, mask=inside, other=0.0, cache_modifier=".cg") - highest)
        kept = tl.reshape(tl.broadcast_to(inside, some.shape), (FEW * SOME,))
        wide, rest = load_vectors(totals, tl.reshape(some, (FEW * SOME,)), kept, HEAD, ".cg")
        wide_total += tl.sum(tl.reshape(wide, (FEW, SOME, WIDE)) * share[:, :, None], 1)
        rest_total += tl.sum(tl.reshape(rest, (FEW, SOME, REST)) * share[:, :, None], 1)
    store_rows(out + of_row * HEAD, (wide_total / weight, rest_total / weight), row < BLOCK, HEAD)
