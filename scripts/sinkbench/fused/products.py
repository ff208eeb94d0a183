"""Matrix times vector, or times the vectors of up to 16 streams, for the fused kernels.

Weights are [rows, inputs], 16 or 32 bits wide, or packed in 8 or 4 bits (see packing); x is [B, inputs]; sums
are float32. One stream is multiplied by the ordinary units, several by the matrix units.

LayerNorm distributes over a product, so that no pass over its input x comes first:
W (gamma (x - mean) rstd + beta) + b = rstd (W gamma x - mean W gamma) + (W beta + b); W gamma summed over
inputs (`sums`) and the last bracket (`shift`) are constants of the weights.

Triton compiles what stands behind a `return`, so branches on constants need their `else`.
"""

import triton
import triton.language as tl

GROUP = tl.constexpr(128)  # inputs that share a scale (see packing)
MAGIC = tl.constexpr(0x4B000000)  # float32 2^23: or-ed with a small integer u it is the number 2^23 + u


@triton.jit
def wait_for_inputs(PDL: tl.constexpr):
    """From here on, what the launch before has written may be read; the launch after may begin early."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
def load_tile(
    weight, rows, column, ROWS: tl.constexpr, COLUMNS: tl.constexpr, BC: tl.constexpr, EVEN: tl.constexpr
):
    """Stored weights [rows, BC] from `column` on; zeros outside. EVEN: no column is outside."""
    c = column + tl.arange(0, BC)
    mask = (rows < ROWS)[:, None]
    if not EVEN:
        mask = mask & (c < COLUMNS)[None, :]
    place = weight + rows.to(tl.int64)[:, None] * COLUMNS + c[None, :]
    return tl.load(place, mask=mask, other=0, eviction_policy="evict_first")


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
def load_scales(scales, rows, group, ROWS: tl.constexpr, K: tl.constexpr):
    """Scales [rows, group] of 4-bit weights."""
    mask = (rows < ROWS)[:, None] & (group < K // GROUP)[None, :]
    place = scales + rows[:, None] * (K // GROUP) + group[None, :]
    return tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def multiply(total, w, x, DTYPE: tl.constexpr, BATCH: tl.constexpr):
    """total + w x, for w float32 [rows, k]: summed over k for a batch only."""
    if BATCH == 1:
        return total + w * x[None, :]
    else:  # noqa: RET505
        return tl.dot(w.to(DTYPE), x.to(DTYPE), total, input_precision="ieee")


@triton.jit
def multiply_tile(
    total, tile, column, rows, scales, x,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """total + W x over the inputs that the stored columns [BC] from `column` on hold."""
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    DTYPE: tl.constexpr = x.dtype.element_ty
    c = column + tl.arange(0, tile.shape[1])
    part = tl.zeros_like(total)
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
def scaled(total, scales, rows, ROWS: tl.constexpr, BITS: tl.constexpr):
    """Products [rows, 1 or 16] times the scales of their rows, which 8-bit weights have."""
    if BITS == 8:
        total = total * tl.load(scales + rows, mask=rows < ROWS, other=0.0).to(tl.float32)[:, None]
    return total


@triton.jit
def load_strip(
    weight, rows, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr
):
    """Whole rows as stored, as tiles of BK inputs: all asked for at once."""
    COLUMNS: tl.constexpr = K * BITS // 32 if BITS < 16 else K
    BC: tl.constexpr = BK * BITS // 32 if BITS < 16 else BK
    tiles = ()
    for column in tl.static_range(0, COLUMNS, BC):
        tiles = tiles + (load_tile(weight, rows, column, ROWS, COLUMNS, BC, column + BC <= COLUMNS),)  # noqa: RUF005
    return tiles


@triton.jit
def multiply_strip(
    strip, scales, rows, x,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr
):  # fmt: skip
    """W x of one stream for the rows of a strip, float32 [rows, 1]."""
    COLUMNS: tl.constexpr = K * BITS // 32 if BITS < 16 else K
    BC: tl.constexpr = BK * BITS // 32 if BITS < 16 else BK
    total = tl.zeros((rows.shape[0], BC), tl.float32)
    for i in tl.static_range((COLUMNS + BC - 1) // BC):
        total = multiply_tile(
            total, strip[i], i * BC, rows, scales, x, ROWS, K, BITS, 1, (i + 1) * BC <= COLUMNS
        )
    return scaled(tl.sum(total, 1)[:, None], scales, rows, ROWS, BITS)


@triton.jit
def multiply_rows(
    weight, scales, rows, x, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BATCH: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """W x for long rows or several streams, float32 [rows, 1 or 16]: BK inputs at a time, in a pipeline."""
    COLUMNS: tl.constexpr = K * BITS // 32 if BITS < 16 else K
    BC: tl.constexpr = BK * BITS // 32 if BITS < 16 else BK
    EVEN: tl.constexpr = COLUMNS % BC == 0
    total = tl.zeros((rows.shape[0], BC if BATCH == 1 else 16), tl.float32)
    for column in tl.range(0, COLUMNS, BC, num_stages=STAGES):
        tile = load_tile(weight, rows, column, ROWS, COLUMNS, BC, EVEN)
        total = multiply_tile(total, tile, column, rows, scales, x, ROWS, K, BITS, BATCH, EVEN)
    if BATCH == 1:
        total = tl.sum(total, 1)[:, None]
    return scaled(total, scales, rows, ROWS, BITS)


@triton.jit
def normed_product(
    linear, x, moments, eps, row,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, PARTS: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """LayerNorm(x) W^T + b for rows from `row` on, float32 [BN, 1 or 16]; x comes multiplied by gamma.

    Whole rows are on their way before the wait for the launch that writes x.
    """
    weight, scales, sums, shift = linear
    sum_x, sum_xx = moments
    rows = row + tl.arange(0, BN)
    live = rows < ROWS
    weight_sum = tl.load(sums + rows, mask=live, other=0.0)[:, None]
    constant = tl.load(shift + rows, mask=live, other=0.0)[:, None]
    if BATCH == 1:
        strip = load_strip(weight, rows, ROWS, K, BITS, BK)
        wait_for_inputs(PDL)
        total = multiply_strip(strip, scales, rows, x, ROWS, K, BITS, BK)
    else:
        wait_for_inputs(PDL)
        total = multiply_rows(weight, scales, rows, x, ROWS, K, BITS, BATCH, BK, STAGES)
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
def store_rows(out, y, rows, ROWS: tl.constexpr, BATCH: tl.constexpr):
    """Write y [rows, 1 or 16] to out [BATCH, ROWS]."""
    stream = tl.arange(0, 1 if BATCH == 1 else 16)
    mask = (rows < ROWS)[:, None] & (stream < BATCH)[None, :]
    tl.store(out + stream[None, :] * ROWS + rows[:, None], y.to(out.dtype.element_ty), mask=mask)
