"""A product behind a LayerNorm, without a pass over its input first.

LayerNorm distributes over the product: W (gamma (x - mean) rstd + beta) + b =
rstd (W gamma x - mean W gamma) + (W beta + b). W gamma summed over inputs (`sums`) and the last bracket
(`shift`) are constants of the weights; the kernel before leaves x gamma, and sums of x and x^2 over its rows.
"""

import triton
import triton.language as tl

from sinkbench.engines.fused.matmul import columns_of, load_first, multiply_many
from sinkbench.engines.fused.matvec import (
    load_row_scales,
    load_strip,
    load_strip_inputs,
    multiply_strip,
    wait_for_inputs,
)

UNIT = tl.constexpr(2.0**-28)  # of sums of x and x^2: up to 3e10, such as that of a single 1.8e5 squared


@triton.jit
def normed_product(
    linear, x, moments, eps, out, row,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, BATCH: tl.constexpr, WARPS: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STRIPS: tl.constexpr, STAGES: tl.constexpr, FIRST: tl.constexpr,
    GELU: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Write LayerNorm(x) W^T + b, or its exact GELU, to out [B, ROWS]: STRIPS x BN rows from `row` on."""
    if BATCH == 1:
        multiply_strips(linear, x, moments, eps, out, row, ROWS, K, BITS, BN, BK, STRIPS, STAGES, GELU, PDL)
    else:
        rows = row + tl.arange(0, BN)
        constants = load_constants(linear, rows, ROWS, BITS)
        first = load_first(linear[0], linear[1], rows, ROWS, K, BITS, BK, WARPS, FIRST)
        wait_for_inputs(PDL)
        total = multiply_many(first, linear[0], linear[1], rows, x, ROWS, K, BITS, BATCH, BK, WARPS, STAGES)
        moments = load_moments(moments, eps, K, BATCH)
        finish_rows(out, total, rows, constants, moments, ROWS, BATCH, GELU)


@triton.jit
def multiply_strips(
    linear, x, moments, eps, out, row,
    ROWS: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, STRIPS: tl.constexpr, STAGES: tl.constexpr,
    GELU: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Write LayerNorm(x) W^T + b, or its GELU, for one stream, whose x stays in registers.

    The first strip is on its way before the wait for the launch that writes x, and multiplied last, so that
    the others follow it without a gap. Their constants are asked for one strip ahead.
    """
    weight, scales = linear[0], linear[1]
    first = row + tl.arange(0, BN)
    first_constants = load_constants(linear, first, ROWS, BITS)
    first_strip = load_strip(weight, scales, first, ROWS, K, BITS, BK)
    rows = first + BN
    constants = load_constants(linear, rows, ROWS, BITS)
    wait_for_inputs(PDL)
    inputs = load_strip_inputs(x, K, BITS, BK)
    moments = load_moments(moments, eps, K, 1)
    for _ in tl.range(1, STRIPS, num_stages=STAGES):
        strip = load_strip(weight, scales, rows, ROWS, K, BITS, BK)
        next_constants = load_constants(linear, rows + BN, ROWS, BITS)
        total = multiply_strip(strip, inputs, rows, K, BITS, BK)
        finish_rows(out, total, rows, constants, moments, ROWS, 1, GELU)
        constants = next_constants
        rows += BN
    total = multiply_strip(first_strip, inputs, first, K, BITS, BK)
    finish_rows(out, total, first, first_constants, moments, ROWS, 1, GELU)


@triton.jit
def load_constants(linear, rows, ROWS: tl.constexpr, BITS: tl.constexpr):
    """Sums, shifts and scales of rows, each [rows, 1]."""
    sums = tl.load(linear[2] + rows, mask=rows < ROWS, other=0.0)[:, None]
    shift = tl.load(linear[3] + rows, mask=rows < ROWS, other=0.0)[:, None]
    return sums, shift, load_row_scales(linear[1], rows, ROWS, BITS)


@triton.jit
def finish_rows(
    out, total, rows, constants, moments, ROWS: tl.constexpr, BATCH: tl.constexpr, GELU: tl.constexpr
):
    """Write LayerNorm(x) W^T + b, or its GELU; total is W gamma x without the scales of the rows."""
    sums, shift, row_scales = constants
    mean, rstd = moments
    y = rstd * (total * row_scales - mean * sums) + shift
    if GELU:
        y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
    stream = tl.arange(0, columns_of(BATCH))
    mask = (rows < ROWS)[:, None] & (stream < BATCH)[None, :]
    tl.store(out + stream[None, :] * ROWS + rows[:, None], y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def load_moments(moments, eps, K: tl.constexpr, BATCH: tl.constexpr):
    """Mean and 1 / standard deviation of x over its K elements, from `moments`: numbers, or [1, columns]."""
    mean = load_sum(moments[0], BATCH) / K
    rstd = tl.rsqrt(load_sum(moments[1], BATCH) / K - mean * mean + eps)
    if BATCH == 1:
        return mean, rstd
    else:
        return mean[None, :], rstd[None, :]


@triton.jit
def load_sum(place, BATCH: tl.constexpr):
    """A sum of every stream, as `in_units` counted it: a number, or [columns] for a batch."""
    if BATCH == 1:
        return (tl.load(place).to(tl.float64) * UNIT).to(tl.float32)
    else:
        stream = tl.arange(0, columns_of(BATCH))
        return (tl.load(place + stream, mask=stream < BATCH, other=0).to(tl.float64) * UNIT).to(tl.float32)


@triton.jit
def in_units(x):
    """Float32 as a whole number of UNITs, int64: sums of those are the same in any order."""
    return (x.to(tl.float64) * (1 / UNIT)).to(tl.int64)
