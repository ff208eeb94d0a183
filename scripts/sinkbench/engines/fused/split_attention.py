"""Attention of one new token over a ring, for the fused kernels: split over the keys of a head.

Keys and values of the ring depend on nothing in this step, so a split asks for its first ones before it waits
for the query. The split of a head that arrives last adds the others up (flash decoding, Dao et al. 2023), in
a fixed order: results are deterministic.

A head's d dimensions are held as two tiles whose widths are powers of two, so that 80 take 64 + 16 registers
and not 128.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.matvec import wait_for_inputs

NOTHING = tl.constexpr(-1.0e30)  # score of a key that is not there; finite, so that no NaN can arise


@triton.jit
def load_vectors(base, slots, inside, HEAD: tl.constexpr, CACHE: tl.constexpr):
    """Keys or values of one head at the slots [n] where `inside`: [n, WIDE] and the rest; zeros elsewhere."""
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    d = tl.arange(0, WIDE)
    place = base + slots[:, None] * HEAD
    wide = tl.load(place + d[None, :], mask=inside[:, None], other=0.0, cache_modifier=CACHE)
    d = WIDE + tl.arange(0, triton.next_power_of_2(HEAD - WIDE))
    mask = inside[:, None] & (d < HEAD)[None, :]
    return wide, tl.load(place + d[None, :], mask=mask, other=0.0, cache_modifier=CACHE)


@triton.jit
def load_rotated(x, tables, scale, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr):
    """One head's vector times `scale`, rotated by a table of `embed_kernel`: [WIDE] and the rest."""
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    wide = rotated(x, tables, tl.arange(0, WIDE), HEAD, ROTARY, BH)
    d = WIDE + tl.arange(0, triton.next_power_of_2(HEAD - WIDE))
    return wide * scale, rotated(x, tables, d, HEAD, ROTARY, BH) * scale


@triton.jit
def rotated(x, tables, d, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr):
    """Dimensions d of a head's vector x, rotated; zeros beyond HEAD."""
    HALF: tl.constexpr = ROTARY // 2
    partner = tl.where(d < HALF, d + HALF, tl.where(d < ROTARY, d - HALF, d))
    own = tl.load(x + d, mask=d < HEAD, other=0.0, cache_modifier=".cg")
    other = tl.load(x + partner, mask=d < HEAD, other=0.0, cache_modifier=".cg")
    return own * tl.load(tables + d) + other * tl.load(tables + BH + d)


@triton.jit
def score(keys, query):
    """Products [n] of the keys with a query."""
    wide, rest = keys
    wide_query, rest_query = query
    product = tl.sum(wide.to(tl.float32) * wide_query[None, :], 1)
    return product + tl.sum(rest.to(tl.float32) * rest_query[None, :], 1)


@triton.jit
def absorb(top, weight, total, query, keys, values, live):
    """One step of online softmax (Milakov and Gimelshein 2018) over the keys [n] where `live`."""
    wide_total, rest_total = total
    wide, rest = values
    scores = tl.where(live, score(keys, query), NOTHING)
    new_top = tl.maximum(top, tl.max(scores, 0))
    share = tl.exp(scores - new_top)
    shrink = tl.exp(top - new_top)
    wide_total = wide_total * shrink + tl.sum(share[:, None] * wide.to(tl.float32), 0)
    rest_total = rest_total * shrink + tl.sum(share[:, None] * rest.to(tl.float32), 0)
    return new_top, weight * shrink + tl.sum(share, 0), (wide_total, rest_total)


@triton.jit
def wait_for_query(ready, head, BN: tl.constexpr, ROWS: tl.constexpr):
    """Until all programs of BN rows each that have part in the ROWS of this head are through."""
    first = head * ROWS // BN
    last = (head * ROWS + ROWS - 1) // BN
    while tl.load(ready + head, volatile=True) < last - first + 1:
        pass
    tl.atomic_add(ready + head, 0, sem="acquire")


@triton.jit
def report_query(ready, row, ALL: tl.constexpr, BN: tl.constexpr, ROWS: tl.constexpr):
    """Tell `wait_for_query` that the BN rows from `row` on, of ALL, are written."""
    tl.debug_barrier()  # all threads of the program have stored before one of them reports it
    last = tl.minimum(row + BN, ALL) - 1
    head = row // ROWS
    while head <= last // ROWS:
        tl.atomic_add(ready + head, 1, sem="release")
        head += 1


@triton.jit
def begin_with_new(
    new, keys, values, slot, tables, scale, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr
):
    """Write the new token's key and value to their slot; attention over this token alone."""
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    REST: tl.constexpr = triton.next_power_of_2(HEAD - WIDE)
    dtype: tl.constexpr = keys.dtype.element_ty
    wide_key, rest_key = load_rotated(new + HEAD, tables, 1.0, HEAD, ROTARY, BH)
    wide_query, rest_query = load_rotated(new, tables, scale, HEAD, ROTARY, BH)
    d = tl.arange(0, WIDE)
    r = WIDE + tl.arange(0, REST)
    wide = tl.load(new + 2 * HEAD + d, cache_modifier=".cg").to(dtype)
    rest = tl.load(new + 2 * HEAD + r, mask=r < HEAD, other=0.0, cache_modifier=".cg").to(dtype)
    wide_key = wide_key.to(dtype)
    rest_key = rest_key.to(dtype)
    tl.store(keys + slot * HEAD + d, wide_key)
    tl.store(keys + slot * HEAD + r, rest_key, mask=r < HEAD)
    tl.store(values + slot * HEAD + d, wide)
    tl.store(values + slot * HEAD + r, rest, mask=r < HEAD)
    top = tl.sum(wide_query * wide_key.to(tl.float32), 0)
    top += tl.sum(rest_query * rest_key.to(tl.float32), 0)
    return top, 1.0, (wide.to(tl.float32), rest.to(tl.float32))


@triton.jit
def age_of(s, slot, slots, SINKS: tl.constexpr):
    """How many tokens before the one at `slot` stands what the slots s [n] of the ring hold; never 0."""
    back = slot - s
    return tl.where(back <= 0, back + slots - SINKS, back)


@triton.jit
def is_seen(s, slot, bound, recent, slots, SINKS: tl.constexpr, BLOCK: tl.constexpr):
    """Whether slots s [n] of recent keys hold what the new token sees; its own is written, and not read.

    In an ordinary ring those are the first `bound` slots. Where tokens can be taken back (BLOCK = 1) it is
    told by their age: `bound` earlier ones are held, and `recent` are seen.
    """
    if BLOCK == 0:
        return (s < bound) & (s != slot)
    else:
        back = age_of(s, slot, slots, SINKS)
        return (back <= bound) & (back <= recent)


@triton.jit
def attend(
    pid, qkv, keys, values, state, tables, partial, out, ready, slots, share, recent, scale,
    HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    SINKS: tl.constexpr, BS: tl.constexpr, SPLITS: tl.constexpr, BKEY: tl.constexpr,
    QKV_BN: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One split, `share` keys, of one head of one stream; split 0 also takes the new token and the sinks."""
    split = pid % SPLITS
    head = pid // SPLITS  # of all streams
    keys += head.to(tl.int64) * slots * HEAD
    values += head.to(tl.int64) * slots * HEAD
    begin = SINKS + split * share
    end = tl.minimum(begin + share, slots)
    s = begin + tl.arange(0, BKEY)
    first_keys = load_vectors(keys, s, s < end, HEAD, "")
    first_values = load_vectors(values, s, s < end, HEAD, "")
    wait_for_inputs(PDL)
    wait_for_query(ready, head % HEADS, QKV_BN, 3 * HEAD)
    slot = tl.load(state)
    bound = tl.load(state + 1)
    new = qkv + head * 3 * HEAD
    query = load_rotated(new, tables, scale, HEAD, ROTARY, BH)
    wide, rest = query
    top = NOTHING
    weight = 0.0
    total = (tl.zeros_like(wide), tl.zeros_like(rest))
    if split == 0:
        top, weight, total = begin_with_new(new, keys, values, slot, tables, scale, HEAD, ROTARY, BH)
        if SINKS > 0:
            # Sink keys stay rotated at their own index; the query meets them rotated at min(t, budget).
            capped = load_rotated(new, tables + 2 * BH, scale, HEAD, ROTARY, BH)
            n = tl.arange(0, BS)
            live = n < SINKS
            if BLOCK == 0:  # a block is read behind the sinks
                live = live & (n < bound) & (n != slot)
            sink_keys = load_vectors(keys, n, live, HEAD, "")
            sink_values = load_vectors(values, n, live, HEAD, "")
            top, weight, total = absorb(top, weight, total, capped, sink_keys, sink_values, live)
    live = (s < end) & is_seen(s, slot, bound, recent, slots, SINKS, BLOCK)
    top, weight, total = absorb(top, weight, total, query, first_keys, first_values, live)
    if BLOCK == 0:
        end = tl.minimum(end, bound)
    begin += BKEY
    while begin < end:
        s = begin + tl.arange(0, BKEY)
        live = (s < end) & is_seen(s, slot, bound, recent, slots, SINKS, BLOCK)
        more_keys = load_vectors(keys, s, live, HEAD, "")
        more_values = load_vectors(values, s, live, HEAD, "")
        top, weight, total = absorb(top, weight, total, query, more_keys, more_values, live)
        begin += BKEY
    finish(pid, head, top, weight, total, partial, out, HEAD, SPLITS)


@triton.jit
def finish(pid, head, top, weight, total, partial, out, HEAD: tl.constexpr, SPLITS: tl.constexpr):
    """Leave a split's part of the head's output [HEAD]; the last of them to arrive adds all up."""
    tops, weights, totals, arrivals = partial
    wide, rest = total
    if SPLITS == 1:
        store_head(out + head * HEAD, wide / weight, rest / weight, HEAD)
    else:
        tl.store(tops + pid, top)
        tl.store(weights + pid, weight)
        store_head(totals + pid * HEAD, wide, rest, HEAD)
        tl.debug_barrier()  # all threads of the program have stored before one of them reports it
        arrived = tl.atomic_add(arrivals + head, 1, sem="acq_rel")
        if arrived == SPLITS - 1:
            add_up(head, tops, weights, totals, out, HEAD, SPLITS)
            tl.store(arrivals + head, 0)


@triton.jit
def store_head(place, wide, rest, HEAD: tl.constexpr):
    """Write a head's vector [HEAD]."""
    WIDE: tl.constexpr = wide.shape[0]
    r = WIDE + tl.arange(0, rest.shape[0])
    tl.store(place + tl.arange(0, WIDE), wide.to(place.dtype.element_ty))
    tl.store(place + r, rest.to(place.dtype.element_ty), mask=r < HEAD)


@triton.jit
def add_up(head, tops, weights, totals, out, HEAD: tl.constexpr, SPLITS: tl.constexpr):
    """The head's output [HEAD] from its splits, a few at a time: registers are short."""
    WIDE: tl.constexpr = triton.next_power_of_2(HEAD) // 2
    ALL: tl.constexpr = triton.next_power_of_2(SPLITS)
    SOME: tl.constexpr = min(ALL, 8)
    split = tl.arange(0, ALL)
    each = head * SPLITS + split
    highest = tl.load(tops + each, mask=split < SPLITS, other=NOTHING, cache_modifier=".cg")
    weight = tl.load(weights + each, mask=split < SPLITS, other=0.0, cache_modifier=".cg")
    top = tl.max(highest, 0)
    weight = tl.sum(weight * tl.exp(highest - top), 0)
    wide_total = tl.zeros((WIDE,), tl.float32)
    rest_total = tl.zeros((triton.next_power_of_2(HEAD - WIDE),), tl.float32)
    for first in tl.range(0, SPLITS, SOME):
        place = first + tl.arange(0, SOME)
        some = head * SPLITS + place
        share = tl.load(tops + some, mask=place < SPLITS, other=NOTHING, cache_modifier=".cg")
        share = tl.exp(share - top)
        wide, rest = load_vectors(totals, some, place < SPLITS, HEAD, ".cg")
        wide_total += tl.sum(wide * share[:, None], 0)
        rest_total += tl.sum(rest * share[:, None], 0)
    store_head(out + head * HEAD, wide_total / weight, rest_total / weight, HEAD)
