"""Matrix times vector, or times the vectors of up to 16 streams, for the fused kernels.

Weights are [rows, inputs], 16 or 32 bits wide, or packed in 8 or 4 bits (see packing); x is [B, inputs]; sums
are float32. One stream is multiplied by the ordinary units (packed weights in integers, see fixed_point),
several by the matrix units. The scales of rows, which 8-bit weights have, are left to the caller.

Triton compiles what stands behind a `return`, so branches on constants need their `else`.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.fixed_point import CHUNK, fixed_inputs, multiply_words

GROUP = tl.constexpr(128)  # inputs that share a scale (see packing)
MAGIC = tl.constexpr(0x4B000000)  # float32 2^23: or-ed with a small integer u it is the number 2^23 + u


@triton.constexpr_function
def columns_of(BATCH):
    """Columns of a product: one stream's, or as many as the matrix units take at once."""
    return 1 if BATCH == 1 else 8 if BATCH <= 8 else 16


@triton.jit
def wait_for_inputs(PDL: tl.constexpr):
    """Wait for the inputs that the launch before writes, and let the launch after begin early."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
def load_tile(
    weight, scales, rows, column, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BATCH: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """BK inputs of the rows, as stored, from `column` on; zeros outside, unless EVEN says that none is.

    4-bit weights come with their scales: of groups, or for one stream of chunks (see fixed_point).
    """
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    c = column + tl.arange(0, BK // WORD)
    live = (rows < ROWS)[:, None]
    mask = live if EVEN else live & (c < K // WORD)[None, :]
    place = weight + rows.to(tl.int64)[:, None] * (K // WORD) + c[None, :]
    tile = tl.load(place, mask=mask, other=0, eviction_policy="evict_first")
    if BITS != 4:
        return (tile,)
    else:
        GROUP_WORDS: tl.constexpr = GROUP // WORD
        EACH: tl.constexpr = CHUNK if BATCH == 1 else GROUP_WORDS
        group = (column + EACH * tl.arange(0, BK // WORD // EACH)) // GROUP_WORDS
        mask = live if EVEN else live & (group < K // GROUP)[None, :]
        place = scales + rows[:, None] * (K // GROUP) + group[None, :]
        return tile, tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_inputs(
    x, column, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr
):
    """What a tile is multiplied with: of each of its planes, inputs float32 [n], or [n, columns] as they are.

    Packed weights of one stream are multiplied with `fixed_inputs`.
    """
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    c = column + tl.arange(0, BK // PLANES)
    planes = ()
    for plane in tl.static_range(PLANES):
        k = c if BITS >= 16 else (c // P) * GROUP + plane * P + c % P
        if BATCH > 1:
            stream = tl.arange(0, columns_of(BATCH))
            mask = (k < K)[:, None] & (stream < BATCH)[None, :]
            inputs = tl.load(x + stream[None, :] * K + k[:, None], mask=mask, other=0.0)
        elif EVEN:
            inputs = tl.load(x + k).to(tl.float32)
        else:
            inputs = tl.load(x + k, mask=k < K, other=0.0).to(tl.float32)
        planes = planes + (inputs,)
    return fixed_inputs(planes, BITS) if BITS < 16 and BATCH == 1 else planes


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
    if BATCH > 1:
        return multiply_batch(total, loaded, inputs, DTYPE, BITS)
    elif BITS >= 16:
        return total + loaded[0].to(tl.float32) * inputs[0][None, :]
    elif BITS == 8:
        return total + multiply_words(loaded[0], inputs, BITS)
    else:
        return total + multiply_words(loaded[0], inputs, BITS) * loaded[1]


@triton.jit
def multiply_batch(total, loaded, inputs, DTYPE: tl.constexpr, BITS: tl.constexpr):
    """total + W x over the inputs of a loaded tile, for several streams."""
    tile = loaded[0]
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    for plane in tl.static_range(PLANES):
        w = tile if BITS >= 16 else unpacked(tile, plane, BITS)
        if BITS == 4:
            w = tl.reshape(by_group(w, P) * loaded[1][:, :, None], tile.shape)
        total = tl.dot(w.to(DTYPE), inputs[plane], total, input_precision="ieee")
    return total


@triton.jit
def zeros(rows, BITS: tl.constexpr, BATCH: tl.constexpr, BK: tl.constexpr):
    """What `multiply_tile` adds to: [rows, columns]; of one stream not yet summed over a tile's columns."""
    COLUMNS: tl.constexpr = BK if BITS >= 16 else BK * BITS // 32 // CHUNK
    return tl.zeros((rows.shape[0], COLUMNS if BATCH == 1 else columns_of(BATCH)), tl.float32)


@triton.jit
def load_row_scales(scales, rows, ROWS: tl.constexpr, BITS: tl.constexpr):
    """Scales [rows, 1] of 8-bit weights; ones for others."""
    if BITS == 8:
        return tl.load(scales + rows, mask=rows < ROWS, other=0.0).to(tl.float32)[:, None]
    else:
        return tl.full((rows.shape[0], 1), 1.0, tl.float32)


@triton.jit
def load_strip(
    weight, scales, rows, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr
):
    """Whole rows as tiles of BK inputs, all asked for at once."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, K, BK):
        tiles = tiles + (load_tile(weight, scales, rows, k // WORD, ROWS, K, BITS, 1, BK, k + BK <= K),)
    return tiles


@triton.jit
def load_strip_inputs(x, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr):
    """One stream's inputs, whole, in the order of a strip's tiles."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, K, BK):
        tiles = tiles + (load_inputs(x, k // WORD, K, BITS, 1, BK, k + BK <= K),)
    return tiles


@triton.jit
def multiply_strip(
    strip, inputs, rows, DTYPE: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr
):
    """W x of one stream for the rows of a strip, float32 [rows, 1]."""
    total = zeros(rows, BITS, 1, BK)
    for k in tl.static_range(0, K, BK):
        total = multiply_tile(total, strip[k // BK], inputs[k // BK], DTYPE, BITS, 1)
    return tl.sum(total, 1)[:, None]


@triton.jit
def multiply_rows(
    weight, scales, rows, x, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BATCH: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, SKIPPED: tl.constexpr = 0,
):  # fmt: skip
    """W x for long rows or several streams, float32 [rows, columns]: BK inputs at a time, in a pipeline.

    The first SKIPPED tiles are left out.
    """
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    EVEN: tl.constexpr = K % BK == 0
    total = zeros(rows, BITS, BATCH, BK)
    for column in tl.range(SKIPPED * (BK // WORD), K // WORD, BK // WORD, num_stages=STAGES):
        loaded = load_tile(weight, scales, rows, column, ROWS, K, BITS, BATCH, BK, EVEN)
        inputs = load_inputs(x, column, K, BITS, BATCH, BK, EVEN)
        total = multiply_tile(total, loaded, inputs, x.dtype.element_ty, BITS, BATCH)
    return tl.sum(total, 1)[:, None] if BATCH == 1 else total


@triton.jit
def load_first(
    weight, scales, rows, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr,
    BK: tl.constexpr, FIRST: tl.constexpr,
):  # fmt: skip
    """The FIRST tiles of the rows, or all, to be on their way before the wait for the inputs."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, min(K, FIRST * BK), BK):
        tiles = tiles + (load_tile(weight, scales, rows, k // WORD, ROWS, K, BITS, BATCH, BK, K % BK == 0),)
    return tiles


@triton.jit
def multiply_behind_first(
    first, weight, scales, rows, x, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BATCH: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """W x of several streams, float32 [rows, columns], whose tiles of `load_first` are multiplied last."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    total = multiply_rows(weight, scales, rows, x, ROWS, K, BITS, BATCH, BK, STAGES, len(first))
    for index in tl.static_range(len(first)):
        inputs = load_inputs(x, index * (BK // WORD), K, BITS, BATCH, BK, K % BK == 0)
        total = multiply_tile(total, first[index], inputs, x.dtype.element_ty, BITS, BATCH)
    return total
