"""Matrix times the vectors of up to 16 streams or tokens on the matrix units, for the fused kernels.

As in `matvec`, with x [B, inputs]. A tile's inputs are cut into as many parts as a program has WARPS, which
multiply them side by side: a batch of products, whose sums are added up last.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.matvec import GROUP

MAGIC = tl.constexpr(0x4B000000)  # float32 2^23: or-ed with a small integer u it is the number 2^23 + u


@triton.constexpr_function
def columns_of(BATCH):
    """Columns of a product: one stream's, or as many as the matrix units take at once."""
    return 1 if BATCH == 1 else 8 if BATCH <= 8 else 16


@triton.jit
def load_parts(
    weight, scales, rows, column, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr,
    WARPS: tl.constexpr,
):  # fmt: skip
    """BK inputs of the rows, as stored, from `column` on: [WARPS, rows, n], zeros outside.

    4-bit weights come with their scales [WARPS, rows, some], each of as many neighbouring words.
    """
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    N: tl.constexpr = BK // WORD // WARPS
    part = column + N * tl.arange(0, WARPS)[:, None]
    c = part + tl.arange(0, N)[None, :]
    live = (rows < ROWS)[None, :, None]
    mask = live if K % BK == 0 else live & (c < K // WORD)[:, None, :]
    place = weight + rows.to(tl.int64)[None, :, None] * (K // WORD) + c[:, None, :]
    tile = tl.load(place, mask=mask, other=0, eviction_policy="evict_first")
    if BITS != 4:
        return (tile,)
    else:
        GROUP_WORDS: tl.constexpr = GROUP // WORD
        EACH: tl.constexpr = min(GROUP_WORDS, N)
        group = (part + EACH * tl.arange(0, N // EACH)[None, :]) // GROUP_WORDS
        mask = live if K % BK == 0 else live & (group < K // GROUP)[:, None, :]
        place = scales + rows[None, :, None] * (K // GROUP) + group[:, None, :]
        return tile, tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_columns(
    x, column, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr, BK: tl.constexpr, WARPS: tl.constexpr
):
    """What such a tile is multiplied with: inputs [WARPS, n, columns] of each of its planes (see packing)."""
    PLANES: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    P: tl.constexpr = GROUP // PLANES
    N: tl.constexpr = BK // PLANES // WARPS
    c = column + N * tl.arange(0, WARPS)[:, None] + tl.arange(0, N)[None, :]
    stream = tl.arange(0, columns_of(BATCH))
    planes = ()
    for plane in tl.static_range(PLANES):
        k = c if BITS >= 16 else (c // P) * GROUP + plane * P + c % P
        mask = (k < K)[:, :, None] & (stream < BATCH)[None, None, :]
        place = x + stream[None, None, :] * K + k[:, :, None]
        planes = planes + (tl.load(place, mask=mask, other=0.0),)
    return planes


@triton.jit
def unpacked(tile, plane: tl.constexpr, BITS: tl.constexpr):
    """The integers of one plane of a packed tile, float32, exactly."""
    u = ((tile >> (BITS * plane)) & ((1 << BITS) - 1)) | MAGIC
    return u.to(tl.float32, bitcast=True) - (8388608.0 + (1 << (BITS - 1)))


@triton.jit
def scaled(w, scales):
    """w [WARPS, rows, n] times scales [WARPS, rows, some], each of as many neighbours."""
    SOME: tl.constexpr = scales.shape[2]
    apart = tl.reshape(w, (w.shape[0], w.shape[1], SOME, w.shape[2] // SOME))
    return tl.reshape(apart * scales[:, :, :, None], w.shape)


@triton.jit
def multiply_parts(total, loaded, planes, BITS: tl.constexpr):
    """total [WARPS, rows, columns] + W x over the inputs of a loaded tile."""
    for plane in tl.static_range(len(planes)):
        w = loaded[0] if BITS >= 16 else unpacked(loaded[0], plane, BITS)
        if BITS == 4:
            w = scaled(w, loaded[1])
        total = tl.dot(w.to(planes[plane].dtype), planes[plane], total, input_precision="ieee")
    return total


@triton.jit
def load_first(
    weight, scales, rows, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BK: tl.constexpr,
    WARPS: tl.constexpr, FIRST: tl.constexpr,
):  # fmt: skip
    """The FIRST tiles of the rows, or all, to be on their way before the wait for the inputs."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    tiles = ()
    for k in tl.static_range(0, min(K, FIRST * BK), BK):
        tiles = tiles + (load_parts(weight, scales, rows, k // WORD, ROWS, K, BITS, BK, WARPS),)
    return tiles


@triton.jit
def multiply_many(
    first, weight, scales, rows, x, ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BATCH: tl.constexpr, BK: tl.constexpr, WARPS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """W x, float32 [rows, columns]: BK inputs at a time, in a pipeline; last the tiles of `load_first`."""
    WORD: tl.constexpr = 1 if BITS >= 16 else 32 // BITS
    total = tl.zeros((WARPS, rows.shape[0], columns_of(BATCH)), tl.float32)
    for column in tl.range(len(first) * (BK // WORD), K // WORD, BK // WORD, num_stages=STAGES):
        loaded = load_parts(weight, scales, rows, column, ROWS, K, BITS, BK, WARPS)
        total = multiply_parts(total, loaded, load_columns(x, column, K, BITS, BATCH, BK, WARPS), BITS)
    for index in tl.static_range(len(first)):
        planes = load_columns(x, index * (BK // WORD), K, BITS, BATCH, BK, WARPS)
        total = multiply_parts(total, first[index], planes, BITS)
    return tl.sum(total, 0)
