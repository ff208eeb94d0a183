"""Matrix times vector, of one stream, for the fused kernels; `matmul` has that of several.

Weights are [rows, inputs], 16 or 32 bits wide, or packed in 8 or 4 bits (see packing); x is [inputs]; sums
are float32. The ordinary units multiply, packed weights in integers (see fixed_point). The scales of rows,
which 8-bit weights have, are left to the caller.

Triton compiles what stands behind a `return`, so branches on constants need their `else`.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.fixed_point import CHUNK, fixed_inputs, multiply_words

GROUP = tl.constexpr(128)  # inputs that share a scale (see packing)


@triton.jit
def wait_for_inputs(PDL: tl.constexpr):
    """Wait for the inputs that the launch before writes, and let the launch after begin early."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
def load_tile(
    weight, scales, rows, column, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr,
    EVEN: tl.constexpr,
):  # fmt: skip
    """BK inputs of the rows, as stored, from `column` on; zeros outside, unless EVEN says that none is.

    4-bit weights come with the scales of their chunks (see fixed_point).
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
        group = (column + CHUNK * tl.arange(0, BK // WORD // CHUNK)) // GROUP_WORDS
        mask = live if EVEN else live & (group < K // GROUP)[None, :]
        place = scales + rows[:, None] * (K // GROUP) + group[None, :]
        return tile, tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_inputs(x, column, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr):
    """What a tile is multiplied with: inputs float32 [n], or `fixed_inputs` of those of each plane."""
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    c = column + tl.arange(0, BK // PLANES)
    planes = ()
    for plane in tl.static_range(PLANES):
        k = c if BITS >= 16 else (c // P) * GROUP + plane * P + c % P
        if EVEN:
            inputs = tl.load(x + k).to(tl.float32)
        else:
            inputs = tl.load(x + k, mask=k < K, other=0.0).to(tl.float32)
        planes = planes + (inputs,)
    return fixed_inputs(planes, BITS) if BITS < 16 else planes


@triton.jit
def multiply_tile(total, loaded, inputs, BITS: tl.constexpr):
    """total + W x over the inputs of a loaded tile; see `zeros` for the shape of total."""
    if BITS >= 16:
        return total + loaded[0].to(tl.float32) * inputs[0][None, :]
    elif BITS == 8:
        return total + multiply_words(loaded[0], inputs, BITS)
    else:
        return total + multiply_words(loaded[0], inputs, BITS) * loaded[1]


@triton.jit
def zeros(rows, BITS: tl.constexpr, BK: tl.constexpr):
    """What `multiply_tile` adds to: [rows, columns], not yet summed over a tile's columns."""
    COLUMNS: tl.constexpr = BK if BITS >= 16 else BK * BITS // 32 // CHUNK
    return tl.zeros((rows.shape[0], COLUMNS), tl.float32)


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
        tiles = tiles + (load_tile(weight, scales, rows, k // WORD, ROWS, K, BITS, BK, k + BK <= K),)
    return tiles


@triton.jit
def load_strip_inputs(x, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr):
    """The inputs, whole, in the order of a strip's tiles."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, K, BK):
        tiles = tiles + (load_inputs(x, k // WORD, K, BITS, BK, k + BK <= K),)
    return tiles


@triton.jit
def multiply_strip(strip, inputs, rows, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr):
    """W x for the rows of a strip, float32 [rows, 1]."""
    total = zeros(rows, BITS, BK)
    for k in tl.static_range(0, K, BK):
        total = multiply_tile(total, strip[k // BK], inputs[k // BK], BITS)
    return tl.sum(total, 1)[:, None]


@triton.jit
def multiply_rows(
    weight, scales, rows, x, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """W x for long rows, float32 [rows, 1]: BK inputs at a time, in a pipeline."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    EVEN: tl.constexpr = K % BK == 0
    total = zeros(rows, BITS, BK)
    for column in tl.range(0, K // WORD, BK // WORD, num_stages=STAGES):
        loaded = load_tile(weight, scales, rows, column, ROWS, K, BITS, BK, EVEN)
        inputs = load_inputs(x, column, K, BITS, BK, EVEN)
        total = multiply_tile(total, loaded, inputs, BITS)
    return tl.sum(total, 1)[:, None]
