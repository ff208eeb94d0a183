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
    weight, scales, rows, column,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """BK inputs of the rows, as stored, from `column` on, and their scales [rows, groups] if they have 4 bits.

    Zeros outside. EVEN: no input is outside.
    """
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    c = column + tl.arange(0, BK // WORD)
    live = (rows < ROWS)[:, None]
    mask = live if EVEN else live & (c < K // WORD)[None, :]
    place = weight + rows.to(tl.int64)[:, None] * (K // WORD) + c[None, :]
    tile = tl.load(place, mask=mask, other=0, eviction_policy="evict_first")
    if BITS != 4:
        return (tile,)
    else:  # noqa: RET505
        group = column // (GROUP // WORD) + tl.arange(0, BK // GROUP)
        mask = live if EVEN else live & (group < K // GROUP)[None, :]
        place = scales + rows[:, None] * (K // GROUP) + group[None, :]
        return tile, tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_inputs(
    x, column, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr
):
    """What the planes of a tile are multiplied with: of each, inputs float32 [columns], or [columns, 16]."""
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    c = column + tl.arange(0, BK // PLANES)
    planes = ()
    for plane in tl.static_range(PLANES):
        k = c if BITS >= 16 else (c // P) * GROUP + plane * P + c % P
        if BATCH > 1:
            stream = tl.arange(0, 16)
            mask = (k < K)[:, None] & (stream < BATCH)[None, :]
            inputs = tl.load(x + stream[None, :] * K + k[:, None], mask=mask, other=0.0)
        elif EVEN:
            inputs = tl.load(x + k)
        else:
            inputs = tl.load(x + k, mask=k < K, other=0.0)
        planes = planes + (inputs.to(tl.float32),)  # noqa: RUF005
    return planes


@triton.jit
def unpacked(tile, plane: tl.constexpr, BITS: tl.constexpr):
    """The integers of one plane of a packed tile, float32, exactly."""
    u = ((tile >> (BITS * plane)) & ((1 << BITS) - 1)) | MAGIC
    return u.to(tl.float32, bitcast=True) - (8388608.0 + (1 << (BITS - 1)))


@triton.jit
def by_group(x, P: tl.constexpr):
    """x [rows, columns] as [rows, groups, P]."""
    return tl.reshape(x, (x.shape[0], x.shape[1] // P, P))


@triton.jit
def multiply_tile(total, loaded, inputs, DTYPE: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr):
    """total + W x over the inputs of a loaded tile; see `zeros` for the shape of total."""
    tile = loaded[0]
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    part = total
    if BITS == 4 and BATCH == 1:
        part = tl.zeros(tile.shape, tl.float32)
    for plane in tl.static_range(PLANES):
        w = tile.to(tl.float32) if BITS >= 16 else unpacked(tile, plane, BITS)
        if BITS == 4 and BATCH > 1:
            w = tl.reshape(by_group(w, P) * loaded[1][:, :, None], tile.shape)
        if BATCH == 1:
            part += w * inputs[plane][None, :]
        else:
            part = tl.dot(w.to(DTYPE), inputs[plane].to(DTYPE), part, input_precision="ieee")
    if BITS == 4 and BATCH == 1:
        part = total + tl.sum(by_group(part, P), 2) * loaded[1]
    return part


@triton.jit
def zeros(rows, BITS: tl.constexpr, BATCH: tl.constexpr, BK: tl.constexpr):
    """What `multiply_tile` adds to: [rows, 16] for a batch, else not yet summed over a tile's columns."""
    COLUMNS: tl.constexpr = BK // GROUP if BITS == 4 else BK * BITS // 32 if BITS == 8 else BK
    return tl.zeros((rows.shape[0], COLUMNS if BATCH == 1 else 16), tl.float32)


@triton.jit
def load_row_scales(scales, rows, ROWS: tl.constexpr, BITS: tl.constexpr):
    """Scales [rows, 1] of 8-bit weights; ones for others."""
    if BITS == 8:
        return tl.load(scales + rows, mask=rows < ROWS, other=0.0).to(tl.float32)[:, None]
    else:  # noqa: RET505
        return tl.full((rows.shape[0], 1), 1.0, tl.float32)


@triton.jit
def load_strip(
    weight, scales, rows, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr
):
    """Whole rows as tiles of BK inputs, all asked for at once."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, K, BK):
        tiles = tiles + (load_tile(weight, scales, rows, k // WORD, ROWS, K, BITS, BK, k + BK <= K),)  # noqa: RUF005
    return tiles


@triton.jit
def load_strip_inputs(x, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr):
    """One stream's inputs, whole, in the order of a strip's tiles."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, K, BK):
        tiles = tiles + (load_inputs(x, k // WORD, K, BITS, 1, BK, k + BK <= K),)  # noqa: RUF005
    return tiles


@triton.jit
def multiply_strip(
    strip, inputs, rows, DTYPE: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr
):
    """W x of one stream for the rows of a strip, float32 [rows, 1], not yet multiplied by the rows' scales."""
    total = zeros(rows, BITS, 1, BK)
    for k in tl.static_range(0, K, BK):
        total = multiply_tile(total, strip[k // BK], inputs[k // BK], DTYPE, BITS, 1)
    return tl.sum(total, 1)[:, None]


@triton.jit
def multiply_rows(
    weight, scales, rows, x, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BATCH: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """W x for long rows or several streams, float32 [rows, 1 or 16]: BK inputs at a time, in a pipeline."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    EVEN: tl.constexpr = K % BK == 0
    row_scales = load_row_scales(scales, rows, ROWS, BITS)
    total = zeros(rows, BITS, BATCH, BK)
    for column in tl.range(0, K // WORD, BK // WORD, num_stages=STAGES):
        loaded = load_tile(weight, scales, rows, column, ROWS, K, BITS, BK, EVEN)
        inputs = load_inputs(x, column, K, BITS, BATCH, BK, EVEN)
        total = multiply_tile(total, loaded, inputs, x.dtype.element_ty, BITS, BATCH)
    if BATCH == 1:
        total = tl.sum(total, 1)[:, None]
    return total * row_scales


@triton.jit
def load_constants(linear, rows, ROWS: tl.constexpr, BITS: tl.constexpr):
    """Sums, shifts and scales of rows, each [rows, 1]."""
    weight, scales, sums, shift = linear
    weight_sum = tl.load(sums + rows, mask=rows < ROWS, other=0.0)[:, None]
    constant = tl.load(shift + rows, mask=rows < ROWS, other=0.0)[:, None]
    return weight_sum, constant, load_row_scales(scales, rows, ROWS, BITS)


@triton.jit
def finish_rows(
    out, total, rows, constants, mean, rstd, ROWS: tl.constexpr, BATCH: tl.constexpr, GELU: tl.constexpr
):
    """Write LayerNorm(x) W^T + b, from W gamma x, to out [B, ROWS]; through GELU (exact) if asked to."""
    weight_sum, constant, row_scales = constants
    y = rstd * (total * row_scales - mean * weight_sum) + constant
    if GELU:
        y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
    stream = tl.arange(0, 1 if BATCH == 1 else 16)
    mask = (rows < ROWS)[:, None] & (stream < BATCH)[None, :]
    tl.store(out + stream[None, :] * ROWS + rows[:, None], y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def normed_product(
    linear, x, moments, eps, out, row,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, PARTS: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STRIPS: tl.constexpr, STAGES: tl.constexpr,
    GELU: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """LayerNorm(x) W^T + b for STRIPS times BN rows from `row` on; x comes multiplied by gamma.

    One stream: x stays in registers. The first strip is on its way before the wait for the launch that writes
    x and is multiplied last, so that the others follow it without a gap.
    """
    weight, scales, sums, shift = linear
    DTYPE: tl.constexpr = x.dtype.element_ty
    first = row + tl.arange(0, BN)
    first_constants = load_constants(linear, first, ROWS, BITS)
    if BATCH == 1:
        first_strip = load_strip(weight, scales, first, ROWS, K, BITS, BK)
        rows = first + BN
        constants = load_constants(linear, rows, ROWS, BITS)
        wait_for_inputs(PDL)
        inputs = load_strip_inputs(x, K, BITS, BK)
        mean, rstd = load_moments(moments, eps, K, PARTS, 1)
        for _ in tl.range(1, STRIPS, num_stages=STAGES):
            strip = load_strip(weight, scales, rows, ROWS, K, BITS, BK)
            next_constants = load_constants(linear, rows + BN, ROWS, BITS)
            total = multiply_strip(strip, inputs, rows, DTYPE, K, BITS, BK)
            finish_rows(out, total, rows, constants, mean, rstd, ROWS, 1, GELU)
            constants = next_constants
            rows += BN
        total = multiply_strip(first_strip, inputs, first, DTYPE, K, BITS, BK)
        finish_rows(out, total, first, first_constants, mean, rstd, ROWS, 1, GELU)
    else:
        wait_for_inputs(PDL)
        total = multiply_rows(weight, scales, first, x, ROWS, K, BITS, BATCH, BK, STAGES)
        mean, rstd = load_moments(moments, eps, K, PARTS, BATCH)
        weight_sum, constant, row_scales = first_constants
        unscaled = weight_sum, constant, tl.full((BN, 1), 1.0, tl.float32)
        finish_rows(out, total, first, unscaled, mean, rstd, ROWS, BATCH, GELU)


@triton.jit
def load_moments(moments, eps, K: tl.constexpr, PARTS: tl.constexpr, BATCH: tl.constexpr):
    """Mean and 1 / standard deviation of x over its K elements: numbers, or [1, 16] for a batch."""
    sum_x, sum_xx = moments
    mean = add_parts(sum_x, PARTS, BATCH) / K
    rstd = tl.rsqrt(add_parts(sum_xx, PARTS, BATCH) / K - mean * mean + eps)
    if BATCH == 1:
        return mean, rstd
    else:  # noqa: RET505
        return mean[None, :], rstd[None, :]


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
