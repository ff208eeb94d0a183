"""Triton kernels of one decode step of GPT-NeoX with parallel residual: two launches a layer.

    qkv_attention_up_kernel    query, key and value; attention; the MLP's first half, which waits for neither
    dense_down_kernel   attention's output projection, the MLP's second half, and the residual

Around them `embed_kernel` begins a step and `head_kernel` ends it. Decoding is bound by the bytes of weights
and cache, so every byte is read once, and the memory must never wait: of one token, what depends on no other
launch (weights, and the keys and values of earlier tokens) is asked for first. Where the card can do that
(PDL, programmatic dependent launch, compute capability 9.0) a launch does so while the one before still runs.

Shapes: B streams decoded in step, D hidden, F MLP width, H heads of d dimensions, V vocabulary. Where BLOCK
is not 0, the B are as many tokens of one stream.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.block_attention import attend_block
from sinkbench.engines.fused.l2_prefetch import prefetch_l2
from sinkbench.engines.fused.matmul import columns_of, load_first, multiply_many
from sinkbench.engines.fused.matvec import (
    load_row_scales,
    load_strip,
    load_strip_inputs,
    multiply_rows,
    multiply_strip,
    wait_for_inputs,
)
from sinkbench.engines.fused.norm_matvec import in_units, normed_product
from sinkbench.engines.fused.split_attention import attend, report_query


@triton.jit
def load_gammas(gammas, rows, D: tl.constexpr):
    """Gamma [rows, 1] of either LayerNorm after this."""
    first, second = gammas
    one = tl.load(first + rows, mask=rows < D, other=0.0).to(tl.float32)
    return one[:, None], tl.load(second + rows, mask=rows < D, other=0.0).to(tl.float32)[:, None]


@triton.jit
def store_inputs(y, rows, residual, inputs, gamma, D: tl.constexpr, BATCH: tl.constexpr):
    """Rows y [rows, columns] of the residual stream, and what the LayerNorms after them need of them.

    That is y gamma for either norm, in the model's dtype. Returns each stream's sums of y and y^2 over these
    rows, counted by `in_units`.
    """
    first, second = inputs
    first_gamma, second_gamma = gamma
    stream = tl.arange(0, columns_of(BATCH))
    inside = (rows < D)[:, None]
    mask = inside & (stream < BATCH)[None, :]
    place = stream[None, :] * D + rows[:, None]
    y = tl.where(inside, y, 0.0)
    tl.store(residual + place, y, mask=mask)
    tl.store(first + place, (y * first_gamma).to(first.dtype.element_ty), mask=mask)
    tl.store(second + place, (y * second_gamma).to(first.dtype.element_ty), mask=mask)
    return in_units(tl.sum(y, 0)), in_units(tl.sum(y * y, 0))


@triton.jit
def embed_kernel(
    tokens, embedding, residual, inputs, gammas, moments,
    position, state, tables, frequencies, slots, budget, sinks, ahead,
    D: tl.constexpr, BD: tl.constexpr, SUMS: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    BLOCK: tl.constexpr, BATCH: tl.constexpr, PDL: tl.constexpr,
    LINES: tl.constexpr, AHEAD_BYTES: tl.constexpr,
):  # fmt: skip
    """Begin a step: embed tokens [B]; where they stand; the rotation tables of every place.

    `moments` are those of the first layer, which begin the SUMS of all of them.
    """
    PLACES: tl.constexpr = BLOCK if BLOCK > 0 else 1
    pid = tl.program_id(0)
    if pid < BATCH:
        wait_for_inputs(PDL)
        embed(pid, tokens, embedding, residual, inputs, gammas, moments, D, BD)
    elif pid < BATCH + PLACES:
        wait_for_inputs(PDL)
        t = tl.load(position) + 1 + pid - BATCH
        if pid == BATCH:
            other = 2 * BATCH + tl.arange(0, triton.next_power_of_2(SUMS))
            tl.store(moments[0] + other, tl.zeros_like(other).to(tl.int64), mask=other < SUMS)
            place(t, state, slots, budget, sinks, BLOCK)
        turn(t, tables + (pid - BATCH) * 4 * BH, frequencies, budget, ROTARY, BH)
    else:
        prefetch_l2(ahead, pid - BATCH - PLACES, LINES, AHEAD_BYTES)


@triton.jit
def embed(
    stream, tokens, embedding, residual, inputs, gammas, moments, D: tl.constexpr, BD: tl.constexpr
):  # fmt: skip
    """The embedding of a stream's token, and what the first LayerNorms need of it."""
    rows = tl.arange(0, BD)
    token = tl.load(tokens + stream)
    y = tl.load(embedding + token * D + rows, mask=rows < D, other=0.0).to(tl.float32)
    own = (inputs[0] + stream * D, inputs[1] + stream * D)
    gamma = load_gammas(gammas, rows, D)
    sum_x, sum_xx = store_inputs(y[:, None], rows, residual + stream * D, own, gamma, D, 1)
    one = tl.arange(0, 1)
    tl.store(moments[0] + stream + one, sum_x)
    tl.store(moments[1] + stream + one, sum_xx)


@triton.jit
def place(t, state, slots, budget, sinks, BLOCK: tl.constexpr):
    """The slot of token t and the number of visible slots; for a block, of recent tokens before it."""
    tl.store(state, tl.where(t < sinks, t, sinks + (t - sinks) % (slots - sinks)))
    tl.store(state + 1, tl.minimum(t - sinks, slots - sinks) if BLOCK > 0 else tl.minimum(t, budget) + 1)


@triton.jit
def turn(t, tables, frequencies, budget, ROTARY: tl.constexpr, BH: tl.constexpr):
    """Tables [4, BH] of a token's rotation: cosine and signed sine at t, then at min(t, budget).

    They are 1 and 0 where nothing turns.
    """
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
    x, linear, moments, out, eps, position,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BLOCK: tl.constexpr, BATCH: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STRIPS: tl.constexpr, STAGES: tl.constexpr, FIRST: tl.constexpr,
    WARPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Logits [B, V] float32 of the last hidden states; the step's end, so the position moves on."""
    row = tl.program_id(0) * (STRIPS * BN)
    normed_product(
        linear, x, moments, eps, out, row,
        ROWS, K, BITS, BATCH, WARPS, BN, BK, STRIPS, STAGES, FIRST, False, PDL,
    )  # fmt: skip
    if tl.program_id(0) == 0:
        tl.store(position, tl.load(position) + (BLOCK if BLOCK > 0 else 1))


@triton.jit
def qkv_attention_up_kernel(
    inputs, moments, eps, qkv_linear, qkv, ready,
    keys, values, state, tables, partial, attended, slots, share, recent, scale,
    up_linear, activated, lead,
    K: tl.constexpr, QKV_ROWS: tl.constexpr, QKV_BITS: tl.constexpr, QKV_BN: tl.constexpr,
    QKV_BK: tl.constexpr, QKV_STRIPS: tl.constexpr, QKV_STAGES: tl.constexpr,
    UP_ROWS: tl.constexpr, UP_BITS: tl.constexpr, UP_BN: tl.constexpr, UP_BK: tl.constexpr,
    UP_STRIPS: tl.constexpr, UP_STAGES: tl.constexpr,
    HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr, BH: tl.constexpr,
    SINKS: tl.constexpr, BS: tl.constexpr, SPLITS: tl.constexpr, BKEY: tl.constexpr,
    BLOCK: tl.constexpr, BATCH: tl.constexpr, WARPS: tl.constexpr, FIRST: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """A layer's first half: query, key and value; attention; GELU(W LayerNorm(x) + b), [B, F].

    Programs start in the order of their index (so cards do, though CUDA does not promise it). The first
    compute qkv [B, 3 D] float32; attention's wait for those of their head, and stand behind `lead` of the
    MLP's programs so that they rarely wait in fact.
    """
    QKV_EACH: tl.constexpr = QKV_STRIPS * QKV_BN  # rows of a program
    QKV: tl.constexpr = (QKV_ROWS + QKV_EACH - 1) // QKV_EACH
    ATTENDING: tl.constexpr = (BATCH if BLOCK == 0 else 1) * HEADS * SPLITS
    pid = tl.program_id(0)
    qkv_x, up_x = inputs
    if pid < QKV:
        row = pid * QKV_EACH
        normed_product(
            qkv_linear, qkv_x, moments, eps, qkv, row,
            QKV_ROWS, K, QKV_BITS, BATCH, WARPS, QKV_BN, QKV_BK, QKV_STRIPS, QKV_STAGES, FIRST,
            False, PDL,
        )  # fmt: skip
        report_query(ready, row, QKV_ROWS, QKV_EACH, 3 * HEAD)
    elif (pid >= QKV + lead) & (pid < QKV + lead + ATTENDING):
        if BLOCK <= 1:
            attend(
                pid - QKV - lead, qkv, keys, values, state, tables, partial, attended, ready,
                slots, share, recent, scale,
                HEADS, HEAD, ROTARY, BH, SINKS, BS, SPLITS, BKEY, QKV_EACH, BLOCK, PDL,
            )  # fmt: skip
        else:
            attend_block(
                pid - QKV - lead, qkv, keys, values, state, tables, partial, attended, ready,
                slots, share, recent, scale,
                HEADS, HEAD, ROTARY, BH, SINKS, BS, SPLITS, BKEY, QKV_EACH, BLOCK, PDL,
            )  # fmt: skip
    else:
        row = tl.where(pid < QKV + lead, pid - QKV, pid - QKV - ATTENDING) * (UP_STRIPS * UP_BN)
        normed_product(
            up_linear, up_x, moments, eps, activated, row,
            UP_ROWS, K, UP_BITS, BATCH, WARPS, UP_BN, UP_BK, UP_STRIPS, UP_STAGES, FIRST, True, PDL,
        )  # fmt: skip


@triton.jit
def dense_down_kernel(
    attended, dense, dense_scales, activated, down, down_scales, bias,
    residual, inputs, gammas, moments, ready, ahead,
    D: tl.constexpr, F: tl.constexpr, DENSE_BITS: tl.constexpr, DENSE_BK: tl.constexpr,
    DOWN_BITS: tl.constexpr, HEADS: tl.constexpr, BATCH: tl.constexpr, WARPS: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, FIRST: tl.constexpr, PDL: tl.constexpr,
    LINES: tl.constexpr, AHEAD_BYTES: tl.constexpr,
):  # fmt: skip
    """residual += dense attended + down activated + biases, and what the next layer needs of it."""
    rows = tl.program_id(0) * BN + tl.arange(0, BN)
    stream = tl.arange(0, columns_of(BATCH))
    mask = (rows < D)[:, None] & (stream < BATCH)[None, :]
    place = residual + stream[None, :] * D + rows[:, None]
    shift = tl.load(bias + rows, mask=rows < D, other=0.0)[:, None]
    gamma = load_gammas(gammas, rows, D)
    dense_row_scales = load_row_scales(dense_scales, rows, D, DENSE_BITS)
    down_row_scales = load_row_scales(down_scales, rows, D, DOWN_BITS)
    if BATCH == 1:
        # On its way before the wait, and multiplied last.
        strip = load_strip(dense, dense_scales, rows, D, D, DENSE_BITS, DENSE_BK)
        wait_for_inputs(PDL)
        y = tl.load(place, mask=mask, other=0.0) + shift
        total = multiply_rows(down, down_scales, rows, activated, D, F, DOWN_BITS, BK, STAGES)
        prefetch_l2(ahead, tl.program_id(0), LINES, AHEAD_BYTES)
        inputs_of_dense = load_strip_inputs(attended, D, DENSE_BITS, DENSE_BK)
        other = multiply_strip(strip, inputs_of_dense, rows, D, DENSE_BITS, DENSE_BK)
    else:
        first = load_first(dense, dense_scales, rows, D, D, DENSE_BITS, DENSE_BK, WARPS, FIRST)
        wait_for_inputs(PDL)
        y = tl.load(place, mask=mask, other=0.0) + shift
        total = multiply_many(
            (), down, down_scales, rows, activated, D, F, DOWN_BITS, BATCH, BK, WARPS, STAGES
        )
        prefetch_l2(ahead, tl.program_id(0), LINES, AHEAD_BYTES)
        other = multiply_many(
            first, dense, dense_scales, rows, attended, D, D, DENSE_BITS, BATCH, DENSE_BK, WARPS, STAGES
        )  # fmt: skip
    y += total * down_row_scales + other * dense_row_scales
    sum_x, sum_xx = store_inputs(y, rows, residual, inputs, gamma, D, BATCH)
    tl.atomic_add(moments[0] + stream, sum_x, mask=stream < BATCH, sem="relaxed")
    tl.atomic_add(moments[1] + stream, sum_xx, mask=stream < BATCH, sem="relaxed")
    if tl.program_id(0) == 0:
        head = tl.arange(0, triton.next_power_of_2(HEADS))
        tl.store(ready + head, tl.zeros_like(head).to(tl.int32), mask=head < HEADS)  # for the next layer
