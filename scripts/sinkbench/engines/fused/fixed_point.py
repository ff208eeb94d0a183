"""Inputs as 16-bit integers, so that packed weights need no unpacking to be multiplied.

A multiply-add in float32 for each weight, and what it takes to make a float of 4 or 8 bits, keep the
arithmetic units busier than the memory. So x is written as step * n, with integers n of 16 bits and one step
for the inputs of a few neighbouring words: products with the weights' integers are exact, and one instruction
(dp2a) makes two. The error is at most 2^-16 of the largest of these inputs; bfloat16 rounds to 2^-9 of each.
"""

import triton
import triton.language as tl

CHUNK = tl.constexpr(4)  # neighbouring words, 16 bytes: what a thread loads at once
# 1.5 * 2^23: added to a small float it leaves that one's nearest integer in the low bits.
ROUND = tl.constexpr(12582912.0)
LARGEST = tl.constexpr(32767.0)
TINY = tl.constexpr(1.0e-30)  # instead of 0, by which nothing can be divided
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))  # where inline assembly cannot run


@triton.jit
def larger(a, b):
    """The larger one; NaN if either is, so that a NaN among the inputs is not lost."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def in_chunks(x):
    """x [..., words] as [..., chunks, CHUNK]."""
    WORDS: tl.constexpr = x.shape[len(x.shape) - 1]
    return tl.reshape(x, x.shape[:-1] + [WORDS // CHUNK, CHUNK])


@triton.jit
def fixed_inputs(planes, BITS: tl.constexpr):
    """Integers of the inputs float32 [words] that stand against the planes of packed words (see packing).

    Pairs of them, int32 [words], in the order in which `multiply_words` meets the bytes; their sums over a
    chunk, int32 [chunks]; the steps [chunks] that they count.
    """
    PLANES: tl.constexpr = 32 // BITS
    HALVES: tl.constexpr = 8 // BITS
    top = tl.abs(planes[0])
    for plane in tl.static_range(1, PLANES):
        top = larger(top, tl.abs(planes[plane]))
    step = larger(tl.reduce(in_chunks(top), 1, larger), TINY) / LARGEST
    inverse = tl.broadcast_to((1.0 / step)[:, None], (step.shape[0], CHUNK))
    inverse = tl.reshape(inverse, top.shape)
    integers = ()
    total = tl.zeros(top.shape, tl.int32)
    for plane in tl.static_range(PLANES):
        n = (planes[plane] * inverse + ROUND).to(tl.int32, bitcast=True)
        integers = integers + (n,)
        total += n
    pairs = ()
    for half in tl.static_range(HALVES):
        for first in tl.static_range(half, PLANES, 2 * HALVES):
            pairs = pairs + ((integers[first] & 0xFFFF) | (integers[first + HALVES] << 16),)
    total = tl.sum(in_chunks(total), 1)
    return pairs, (total << 10) >> 10, step  # ROUND's own bits stand above the lowest 22


@triton.jit
def add_products(total, pair, word, HIGH: tl.constexpr):
    """total + pair[0] byte[0] + pair[1] byte[1]: signed 16 bits times unsigned 8, the lower or HIGH bytes."""
    if INTERPRETED:
        low = (word >> 16 if HIGH else word) & 0xFFFF
        return total + ((pair << 16) >> 16) * (low & 255) + (pair >> 16) * (low >> 8)
    else:
        dp2a: tl.constexpr = "dp2a.hi.s32.u32 $0, $1, $2, $3;" if HIGH else "dp2a.lo.s32.u32 $0, $1, $2, $3;"
        return tl.inline_asm_elementwise(
            dp2a, "=r,r,r,r", [pair, word, total], tl.int32, is_pure=True, pack=1
        )


@triton.jit
def multiply_words(words, inputs, BITS: tl.constexpr):
    """Sums over chunks, float32 [rows, chunks], of packed words [rows, words] times `fixed_inputs`."""
    pairs, sums, step = inputs
    total = tl.zeros(words.shape, tl.int32)
    for half in tl.static_range(8 // BITS):
        some = words if BITS == 8 else (words >> (4 * half)) & 0x0F0F0F0F
        total = add_products(total, pairs[2 * half][None, :], some, False)
        total = add_products(total, pairs[2 * half + 1][None, :], some, True)
    # The words hold q + 2^(BITS - 1).
    total = tl.sum(in_chunks(total), 2) - (sums << (BITS - 1))[None, :]
    return total.to(tl.float32) * step[None, :]
