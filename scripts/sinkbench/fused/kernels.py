"""Triton kernels of one decode step of GPT-NeoX with parallel residual: two launches a layer.

    in_kernel    query, key and value; attention; the MLP's first half, which waits for neither
    out_kernel   attention's output projection, the MLP's second half, and the residual

Around them `embed_kernel` begins a step and `head_kernel` ends it. Decoding is bound by the bytes of weights
and cache, so every byte is read once, and three habits keep the memory busy:

LayerNorm distributes over a product, so that no pass over its input x comes first:
W (gamma (x - mean) rstd + beta) + b = rstd (W gamma x - mean W gamma) + (W beta + b); W gamma summed over
inputs (`sums`) and the last bracket (`shift`) are constants of the weights.

A launch that depends on the one before begins early where the card can do that (PDL, programmatic dependent
launch, compute capability 9.0): it fetches its first weights, which depend on nothing, and then waits.

Attention is split over the keys of a head, and the split that arrives last adds the others up (flash
decoding, Dao et al. 2023), in a fixed order: results are deterministic.

Shapes: B streams decoded in step, D hidden, F MLP width, H heads of d dimensions, V vocabulary. Weights
are [rows, inputs], 16 or 32 bits wide, or packed in 8 or 4 bits (see packing). Sums are float32.

Triton compiles what stands behind a `return`, so branches on constants need their `else`.
"""

import triton
import triton.language as tl

GROUP = tl.constexpr(128)  # inputs that share a scale (see packing)
MAGIC = tl.constexpr(0x4B000000)  # float32 2^23: or-ed with a small integer u it is the number 2^23 + u
NOTHING = tl.constexpr(-1.0e30)  # score of a key that is not there; finite, so that no NaN can arise


@triton.jit
def wait_for_inputs(PDL: tl.constexpr):
    """From here on, what the launch before has written may be read; the launch after may begin early."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
def load_inputs(x, k, K: tl.constexpr, BATCH: tl.constexpr, EVEN: tl.constexpr):
    """Inputs k of all streams: float32 [k], or [k, 16] for a batch."""
    if BATCH > 1:
        stream = tl.arange(0, 16)
        mask = (k < K)[:, None] & (stream < BATCH)[None, :]
        return tl.load(x + stream[None, :] * K + k[:, None], mask=mask, other=0.0).to(tl.float32)
    elif EVEN:  # noqa: RET505
        return tl.load(x + k).to(tl.float32)
    else:
        return tl.load(x + k, mask=k < K, other=0.0).to(tl.float32)


@triton.jit
def multiply(total, w, x, DTYPE: tl.constexpr, BATCH: tl.constexpr):
    """total + w x, for w float32 [rows, k]: on the matrix units for a batch."""
    if BATCH == 1:
        return total + w * x[None, :]
    else:  # noqa: RET505
        return tl.dot(w.to(DTYPE), x.to(DTYPE), total, input_precision="ieee")


@triton.jit
def load_tile(weight, rows, column, ROWS: tl.constexpr, COLUMNS: tl.constexpr, BC: tl.constexpr):
    """Stored weights [rows, BC] from `column` on; zeros outside."""
    c = column + tl.arange(0, BC)
    place = weight + rows.to(tl.int64)[:, None] * COLUMNS + c[None, :]
    mask = (rows < ROWS)[:, None]
    if COLUMNS % BC != 0:
        mask = mask & (c < COLUMNS)[None, :]
    return tl.load(place, mask=mask, other=0, eviction_policy="evict_first")


@triton.jit
def load_scales(scales, rows, group, ROWS: tl.constexpr, K: tl.constexpr):
    """Scales [rows, group] of 4-bit weights."""
    mask = (rows < ROWS)[:, None] & (group < K // GROUP)[None, :]
    place = scales + rows[:, None] * (K // GROUP) + group[None, :]
    return tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def multiply_tile(
    total, tile, column, rows, scales, x,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """total + W x over the inputs that the stored columns [BC] hold."""
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    EVEN: tl.constexpr = (K // PLANES) % BC == 0
    DTYPE: tl.constexpr = x.dtype.element_ty
    c = column + tl.arange(0, BC)
    part = tl.zeros((BN, BC if BATCH == 1 else 16), tl.float32)
    for plane in tl.static_range(PLANES):
        if BITS >= 16:
            k = c
            w = tile.to(tl.float32)
        else:
            k = (c // P) * GROUP + plane * P + c % P
            u = ((tile >> (BITS * plane)) & ((1 << BITS) - 1)) | MAGIC
            w = u.to(tl.float32, bitcast=True) - (8388608.0 + (1 << (BITS - 1)))
        if BITS == 4 and BATCH > 1:
            w = w * load_scales(scales, rows, c // P, ROWS, K)
        part = multiply(part, w, load_inputs(x, k, K, BATCH, EVEN), DTYPE, BATCH)
    if BITS == 4 and BATCH == 1:
        part = part * load_scales(scales, rows, c // P, ROWS, K)
    return total + part


@triton.jit
def product(
    weight, scales, rows, x,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, WAIT: tl.constexpr,
    BATCH: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """W x, float32 [rows, 1 or 16]. Weights are asked for before the WAIT for the launch that writes x."""
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    BC: tl.constexpr = BK // PLANES
    COLUMNS: tl.constexpr = K // PLANES
    total = tl.zeros((BN, BC if BATCH == 1 else 16), tl.float32)
    if STAGES == 0:
        tile = load_tile(weight, rows, 0, ROWS, COLUMNS, BC)
        if WAIT:
            wait_for_inputs(PDL)
        for column in tl.static_range(0, COLUMNS, BC):
            if column > 0:
                tile = load_tile(weight, rows, column, ROWS, COLUMNS, BC)
            total = multiply_tile(total, tile, column, rows, scales, x, ROWS, K, BITS, BATCH, BN, BC)
    else:
        if WAIT:
            wait_for_inputs(PDL)
        for column in tl.range(0, COLUMNS, BC, num_stages=STAGES):
            tile = load_tile(weight, rows, column, ROWS, COLUMNS, BC)
            total = multiply_tile(total, tile, column, rows, scales, x, ROWS, K, BITS, BATCH, BN, BC)
    if BATCH == 1:
        total = tl.sum(total, 1)[:, None]
    if BITS == 8:
        total = total * tl.load(scales + rows, mask=rows < ROWS, other=0.0).to(tl.float32)[:, None]
    return total


@triton.jit
def normed_product(
    weight, scales, sums, shift, x, sum_x, sum_xx, eps, row,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, PARTS: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """LayerNorm(x) W^T + b for rows from `row` on, float32 [BN, 1 or 16]; x comes multiplied by gamma."""
    rows = row + tl.arange(0, BN)
    live = rows < ROWS
    weight_sum = tl.load(sums + rows, mask=live, other=0.0)[:, None]
    constant = tl.load(shift + rows, mask=live, other=0.0)[:, None]
    total = product(weight, scales, rows, x, ROWS, K, BITS, True, BATCH, BN, BK, STAGES, PDL)
    mean = add_parts(sum_x, PARTS, BATCH) / K
    rstd = tl.rsqrt(add_parts(sum_xx, PARTS, BATCH) / K - mean * mean + eps)
    if BATCH > 1:
        mean = mean[None, :]
        rstd = rstd[None, :]
    return rstd * (total - mean * weight_sum) + constant


@triton.jit
def add_parts(parts, PARTS: tl.constexpr, BATCH: tl.constexpr):
    """Sums of the partial sums [B, PARTS] of every stream: a number, or [16] for a batch."""
    part = tl.arange(0, triton.next_power_of_2(PARTS))
    if BATCH == 1:
        return tl.sum(tl.load(parts + part, mask=part < PARTS, other=0.0), 0)
    else:  # noqa: RET505
        stream = tl.arange(0, 16)
        mask = (part < PARTS)[:, None] & (stream < BATCH)[None, :]
        return tl.sum(tl.load(parts + stream[None, :] * PARTS + part[:, None], mask=mask, other=0.0), 0)


@triton.jit
def store_inputs(
    y, part, rows, residual, first, second, first_gamma, second_gamma, sum_x, sum_xx,
    D: tl.constexpr, PARTS: tl.constexpr, BATCH: tl.constexpr,
):  # fmt: skip
    """Rows y [rows, 1 or 16] of the residual stream, and what the LayerNorms after them need of them.

    That is y gamma for either norm, in the model's dtype, and the sums of y and y^2 over these rows.
    """
    stream = tl.arange(0, 1 if BATCH == 1 else 16)
    inside = (rows < D)[:, None]
    mask = inside & (stream < BATCH)[None, :]
    place = stream[None, :] * D + rows[:, None]
    y = tl.where(inside, y, 0.0)
    tl.store(residual + place, y, mask=mask)
    gamma = tl.load(first_gamma + rows, mask=rows < D, other=0.0).to(tl.float32)[:, None]
    tl.store(first + place, (y * gamma).to(first.dtype.element_ty), mask=mask)
    gamma = tl.load(second_gamma + rows, mask=rows < D, other=0.0).to(tl.float32)[:, None]
    tl.store(second + place, (y * gamma).to(first.dtype.element_ty), mask=mask)
    tl.store(sum_x + stream * PARTS + part, tl.sum(y, 0), mask=stream < BATCH)
    tl.store(sum_xx + stream * PARTS + part, tl.sum(y * y, 0), mask=stream < BATCH)


@triton.jit
def store_rows(out, y, rows, ROWS: tl.constexpr, BATCH: tl.constexpr):
    """Write y [rows, 1 or 16] to out [BATCH, ROWS]."""
    stream = tl.arange(0, 1 if BATCH == 1 else 16)
    mask = (rows < ROWS)[:, None] & (stream < BATCH)[None, :]
    tl.store(out + stream[None, :] * ROWS + rows[:, None], y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def embed_kernel(
    tokens, embedding, residual, first, second, first_gamma, second_gamma, sum_x, sum_xx,
    position, state, tables, frequencies, budget, sinks,
    D: tl.constexpr, BD: tl.constexpr, PARTS: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Begin a step: embed tokens [B]; the new token's slot, the visible slots, the rotation tables.

    Tables [4, BH]: cosine and signed sine at t, then at min(t, budget); 1 and 0 where nothing turns.
    """
    stream = tl.program_id(0)
    wait_for_inputs(PDL)
    rows = tl.arange(0, BD)
    token = tl.load(tokens + stream)
    y = tl.load(embedding + token * D + rows, mask=rows < D, other=0.0).to(tl.float32)
    part = tl.arange(0, triton.next_power_of_2(PARTS))
    rest = (part > 0) & (part < PARTS)
    nothing = tl.zeros_like(part).to(tl.float32)
    tl.store(sum_x + stream * PARTS + part, nothing, mask=rest)
    tl.store(sum_xx + stream * PARTS + part, nothing, mask=rest)
    store_inputs(
        y[:, None], 0, rows, residual + stream * D, first + stream * D, second + stream * D,
        first_gamma, second_gamma, sum_x + stream * PARTS, sum_xx + stream * PARTS, D, PARTS, 1,
    )  # fmt: skip
    if stream == 0:
        t = tl.load(position)
        ring = budget + 1 - sinks
        tl.store(state, tl.where(t < sinks, t, sinks + (t - sinks) % ring))
        tl.store(state + 1, tl.minimum(t, budget) + 1)
        HALF: tl.constexpr = ROTARY // 2 if ROTARY > 1 else 1
        d = tl.arange(0, BH)
        turns = d < ROTARY
        frequency = tl.load(frequencies + d % HALF, mask=turns, other=0.0)
        for which in tl.static_range(2):
            index = t if which == 0 else tl.minimum(t, budget)
            angle = index.to(tl.float64) * frequency  # float64: see rope
            sine = tl.where(d < HALF, -tl.sin(angle), tl.sin(angle))
            tl.store(tables + 2 * which * BH + d, tl.cos(angle).to(tl.float32))
            tl.store(tables + (2 * which + 1) * BH + d, sine.to(tl.float32))


@triton.jit
def head_kernel(
    x, weight, scales, sums, shift, sum_x, sum_xx, out, eps, position,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, PARTS: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Logits [B, V] float32 of the last hidden states; the step's end, so the position moves on."""
    row = tl.program_id(0) * BN
    y = normed_product(
        weight, scales, sums, shift, x, sum_x, sum_xx, eps, row,
        ROWS, K, BITS, PARTS, BATCH, BN, BK, STAGES, PDL,
    )  # fmt: skip
    store_rows(out, y, row + tl.arange(0, BN), ROWS, BATCH)
    if tl.program_id(0) == 0:
        tl.store(position, tl.load(position) + 1)


@triton.jit
def rotated(x, tables, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr):
    """One head's vector [BH], rotated by a table of `embed_kernel`; zeros beyond HEAD."""
    d = tl.arange(0, BH)
    HALF: tl.constexpr = ROTARY // 2
    partner = tl.where(d < HALF, d + HALF, tl.where(d < ROTARY, d - HALF, d))
    own = tl.load(x + d, mask=d < HEAD, other=0.0, cache_modifier=".cg")
    other = tl.load(x + partner, mask=d < HEAD, other=0.0, cache_modifier=".cg")
    return own * tl.load(tables + d) + other * tl.load(tables + BH + d)


@triton.jit
def absorb(top, weight, total, query, keys, values, slots, live, HEAD: tl.constexpr, BH: tl.constexpr):
    """One step of online softmax (Milakov and Gimelshein 2018) over the slots [n] where `live`."""
    d = tl.arange(0, BH)
    place = slots[:, None] * HEAD + d[None, :]
    mask = live[:, None] & (d < HEAD)[None, :]
    key = tl.load(keys + place, mask=mask, other=0.0).to(tl.float32)
    value = tl.load(values + place, mask=mask, other=0.0).to(tl.float32)
    score = tl.where(live, tl.sum(key * query[None, :], 1), NOTHING)
    new_top = tl.maximum(top, tl.max(score, 0))
    share = tl.exp(score - new_top)
    shrink = tl.exp(top - new_top)
    return new_top, weight * shrink + tl.sum(share, 0), total * shrink + tl.sum(share[:, None] * value, 0)


@triton.jit
def attend(
    pid, qkv, keys, values, state, tables, tops, weights, totals, arrivals, out, slots, scale,
    HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    SINKS: tl.constexpr, BS: tl.constexpr, SPLITS: tl.constexpr, BKEY: tl.constexpr,
):  # fmt: skip
    """One split of one head of one stream; split 0 also takes the new token and the sinks."""
    split = pid % SPLITS
    head = pid // SPLITS  # of all streams
    d = tl.arange(0, BH)
    new = qkv + head * 3 * HEAD
    slot = tl.load(state)
    visible = tl.load(state + 1)
    keys += head.to(tl.int64) * slots * HEAD
    values += head.to(tl.int64) * slots * HEAD
    query = rotated(new, tables, HEAD, ROTARY, BH) * scale
    top = NOTHING
    weight = 0.0
    total = tl.zeros((BH,), tl.float32)
    if split == 0:
        # The slot is written for later steps and never read in this one.
        key = rotated(new + HEAD, tables, HEAD, ROTARY, BH).to(keys.dtype.element_ty)
        value = tl.load(new + 2 * HEAD + d, mask=d < HEAD, other=0.0, cache_modifier=".cg")
        value = value.to(keys.dtype.element_ty)
        tl.store(keys + slot * HEAD + d, key, mask=d < HEAD)
        tl.store(values + slot * HEAD + d, value, mask=d < HEAD)
        top = tl.sum(query * key.to(tl.float32), 0)
        weight = 1.0
        total = value.to(tl.float32)
        if SINKS > 0:
            # Sink keys stay rotated at their own index; the query meets them rotated at min(t, budget).
            capped = rotated(new, tables + 2 * BH, HEAD, ROTARY, BH) * scale
            s = tl.arange(0, BS)
            live = (s < SINKS) & (s < visible) & (s != slot)
            top, weight, total = absorb(top, weight, total, capped, keys, values, s, live, HEAD, BH)
    share = tl.cdiv(tl.maximum(visible - SINKS, 0), SPLITS)
    begin = SINKS + split * share
    end = tl.minimum(begin + share, visible)
    while begin < end:
        s = begin + tl.arange(0, BKEY)
        live = (s < end) & (s != slot)
        top, weight, total = absorb(top, weight, total, query, keys, values, s, live, HEAD, BH)
        begin += BKEY
    if SPLITS == 1:
        tl.store(out + head * HEAD + d, (total / weight).to(out.dtype.element_ty), mask=d < HEAD)
    else:
        tl.store(tops + pid, top)
        tl.store(weights + pid, weight)
        tl.store(totals + pid * BH + d, total)
        tl.debug_barrier()  # all threads of the program have stored before one of them reports it
        arrived = tl.atomic_add(arrivals + head, 1, sem="acq_rel")
        if arrived == SPLITS - 1:
            add_up(head, tops, weights, totals, out, HEAD, BH, SPLITS)
            tl.store(arrivals + head, 0)


@triton.jit
def add_up(head, tops, weights, totals, out, HEAD: tl.constexpr, BH: tl.constexpr, SPLITS: tl.constexpr):
    """The head's output [HEAD] from its splits."""
    d = tl.arange(0, BH)
    each = head * SPLITS + tl.arange(0, SPLITS)
    top = tl.load(tops + each, volatile=True)
    share = tl.exp(top - tl.max(top, 0))
    weight = tl.sum(tl.load(weights + each, volatile=True) * share, 0)
    parts = tl.load(totals + each[:, None] * BH + d[None, :], volatile=True)
    total = tl.sum(parts * share[:, None], 0) / weight
    tl.store(out + head * HEAD + d, total.to(out.dtype.element_ty), mask=d < HEAD)


@triton.jit
def in_kernel(
    x, qkv_weight, qkv_scales, qkv_sums, qkv_shift, qkv, ready,
    keys, values, state, tables, tops, weights, totals, arrivals, attended, slots, scale,
    up_x, up_weight, up_scales, up_sums, up_shift, activated, sum_x, sum_xx, eps,
    K: tl.constexpr, QKV_ROWS: tl.constexpr, QKV_BITS: tl.constexpr, QKV_BN: tl.constexpr,
    QKV_BK: tl.constexpr, QKV_STAGES: tl.constexpr,
    UP_ROWS: tl.constexpr, UP_BITS: tl.constexpr, UP_BN: tl.constexpr, UP_BK: tl.constexpr,
    UP_STAGES: tl.constexpr, LEAD: tl.constexpr,
    HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    SINKS: tl.constexpr, BS: tl.constexpr, SPLITS: tl.constexpr, BKEY: tl.constexpr,
    PARTS: tl.constexpr, BATCH: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """A layer's first half: query, key and value; attention; GELU(W LayerNorm(x) + b), [B, F].

    Programs start in the order of their index. The first compute qkv [B, 3 D] float32; attention's wait for
    all of those, and stand behind LEAD of the MLP's programs so that they rarely wait in fact.
    """
    QKV: tl.constexpr = (QKV_ROWS + QKV_BN - 1) // QKV_BN
    ATTENDING: tl.constexpr = BATCH * HEADS * SPLITS
    pid = tl.program_id(0)
    if pid < QKV:
        row = pid * QKV_BN
        y = normed_product(
            qkv_weight, qkv_scales, qkv_sums, qkv_shift, x, sum_x, sum_xx, eps, row,
            QKV_ROWS, K, QKV_BITS, PARTS, BATCH, QKV_BN, QKV_BK, QKV_STAGES, PDL,
        )  # fmt: skip
        store_rows(qkv, y, row + tl.arange(0, QKV_BN), QKV_ROWS, BATCH)
        tl.debug_barrier()  # all threads of the program have stored before one of them reports it
        tl.atomic_add(ready, 1, sem="release")
    elif (pid >= QKV + LEAD) & (pid < QKV + LEAD + ATTENDING):
        wait_for_inputs(PDL)
        while tl.load(ready, volatile=True) < QKV:
            pass
        tl.atomic_add(ready, 0, sem="acquire")
        attend(
            pid - QKV - LEAD, qkv, keys, values, state, tables, tops, weights, totals, arrivals, attended,
            slots, scale, HEADS, HEAD, ROTARY, BH, SINKS, BS, SPLITS, BKEY,
        )  # fmt: skip
    else:
        row = tl.where(pid < QKV + LEAD, pid - QKV, pid - QKV - ATTENDING) * UP_BN
        y = normed_product(
            up_weight, up_scales, up_sums, up_shift, up_x, sum_x, sum_xx, eps, row,
            UP_ROWS, K, UP_BITS, PARTS, BATCH, UP_BN, UP_BK, UP_STAGES, PDL,
        )  # fmt: skip
        y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
        store_rows(activated, y, row + tl.arange(0, UP_BN), UP_ROWS, BATCH)


@triton.jit
def out_kernel(
    attended, dense, dense_scales, activated, down, down_scales, bias,
    residual, first, second, first_gamma, second_gamma, sum_x, sum_xx, ready,
    D: tl.constexpr, F: tl.constexpr, DENSE_BITS: tl.constexpr, DOWN_BITS: tl.constexpr,
    PARTS: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """residual += dense attended + down activated + biases, and what the next layer needs of it."""
    row = tl.program_id(0) * BN
    rows = row + tl.arange(0, BN)
    stream = tl.arange(0, 1 if BATCH == 1 else 16)
    y = tl.load(bias + rows, mask=rows < D, other=0.0)[:, None]
    y += product(down, down_scales, rows, activated, D, F, DOWN_BITS, True, BATCH, BN, BK, STAGES, PDL)
    y += product(dense, dense_scales, rows, attended, D, D, DENSE_BITS, False, BATCH, BN, BK, STAGES, PDL)
    mask = (rows < D)[:, None] & (stream < BATCH)[None, :]
    y += tl.load(residual + stream[None, :] * D + rows[:, None], mask=mask, other=0.0)
    store_inputs(
        y, tl.program_id(0), rows, residual, first, second, first_gamma, second_gamma, sum_x, sum_xx,
        D, PARTS, BATCH,
    )  # fmt: skip
    if tl.program_id(0) == 0:
        tl.store(ready, 0)  # for the next layer; this layer's programs are through
