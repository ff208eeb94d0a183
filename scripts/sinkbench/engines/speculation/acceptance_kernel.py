"""The end of a round in one Triton kernel; for rules other than the greedy one, after their verdict.

Greedy: programs share the rows of the target's logits. Each finds the likeliest token of its part, and the
last to arrive judges the drafts. It also sets the counter of arrivals back, so that a graph can be replayed.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sinkbench.engines.speculation.acceptance import Round
from sinkbench.engines.speculation.verification import Greedy

SHARE = 4096  # logits of a program
WARPS = 8


class Acceptance:
    """Ends rounds on one CUDA device, as acceptance.settle does, whose arguments it takes."""

    def __init__(self, device: torch.device):
        self.arrivals = torch.zeros(1, dtype=torch.int32, device=device)

    def __call__(
        self,
        rule,
        drafts: Tensor,
        guesses: Tensor,
        scores: Tensor,
        tail: Tensor,
        positions: tuple[Tensor, ...],
    ) -> Round:
        count, ids = len(drafts), drafts.new_empty
        given = Round(ids(count + 1), ids(1))
        ends = drafts, *given, tail, positions
        sizes = {"COUNT": count, "TAIL": len(tail), "num_warps": WARPS}
        if type(rule).verify is not Greedy.verify:  # a rule derived from it may judge otherwise
            settle_kernel[(1,)](*rule.verify(drafts, guesses, scores), *ends, **sizes)
            return given
        scores = scores.contiguous()
        rows, vocabulary = scores.shape
        splits = triton.cdiv(vocabulary, SHARE)
        best = scores.new_empty(rows, splits), ids(rows, splits)
        greedy_kernel[(rows * splits,)](
            scores, vocabulary, best, self.arrivals, *ends, SPLITS=splits, SHARE=SHARE, **sizes
        )
        return given


@triton.jit
def settle_kernel(
    verdict, following, drafts, tokens, accepted, tail, positions, COUNT: tl.constexpr, TAIL: tl.constexpr
):  # fmt: skip
    """End a round on a verdict: drafts that stay [1], and the id that follows them [1]."""
    end_round(
        tl.load(verdict), tl.load(following), drafts, tokens, accepted, tail, positions, COUNT, TAIL
    )  # fmt: skip


@triton.jit
def greedy_kernel(
    scores, vocabulary, best, arrivals, drafts, tokens, accepted, tail, positions,
    COUNT: tl.constexpr, TAIL: tl.constexpr, SPLITS: tl.constexpr, SHARE: tl.constexpr,
):  # fmt: skip
    """Judge drafts by the likeliest tokens of scores [COUNT + 1, vocabulary], and end the round."""
    pid = tl.program_id(0)
    tops, ids = best
    top, index = likeliest(scores + pid // SPLITS * vocabulary, pid % SPLITS * SHARE, vocabulary, SHARE)
    tl.store(tops + pid, top)
    tl.store(ids + pid, index)
    tl.debug_barrier()  # all threads of the program have stored before one of them reports it
    if tl.atomic_add(arrivals, 1, sem="acq_rel") == (COUNT + 1) * SPLITS - 1:
        tl.store(arrivals, 0)
        judge(tops, ids, vocabulary, drafts, tokens, accepted, tail, positions, COUNT, TAIL, SPLITS)


@triton.jit
def likeliest(scores, begin, vocabulary, SHARE: tl.constexpr):
    """The highest of a row's scores from `begin` on, and the first index that has it.

    What is no number counts as infinite: comparisons would lose it. `begin` is within the row, and so is the
    index where all scores are -inf, as those are that stand for what lies beyond.
    """
    column = begin + tl.arange(0, SHARE)
    score = tl.load(scores + column, mask=column < vocabulary, other=-float("inf"))
    score = tl.where(score == score, score, float("inf"))
    highest = tl.max(score, 0)
    return highest, tl.min(tl.where(score == highest, column, vocabulary), 0)


@triton.jit
def judge(
    tops, ids, vocabulary, drafts, tokens, accepted, tail, positions,
    COUNT: tl.constexpr, TAIL: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Keep the drafts before the first that is not the likeliest token of its row."""
    row = tl.arange(0, triton.next_power_of_2(COUNT + 1))
    split = tl.arange(0, triton.next_power_of_2(SPLITS))
    place = row[:, None] * SPLITS + split[None, :]
    inside = (row <= COUNT)[:, None] & (split < SPLITS)[None, :]
    top = tl.load(tops + place, mask=inside, other=-float("inf"), cache_modifier=".cg")
    index = tl.load(ids + place, mask=inside, other=vocabulary, cache_modifier=".cg")
    wanted = tl.min(tl.where(top == tl.max(top, 1)[:, None], index, vocabulary), 1)
    draft = tl.load(drafts + row, mask=row < COUNT, other=-1)
    stays = tl.min(tl.where(wanted == draft, COUNT, row), 0)
    following = tl.sum(tl.where(row == stays, wanted, 0), 0)
    end_round(stays, following, drafts, tokens, accepted, tail, positions, COUNT, TAIL)


@triton.jit
def end_round(
    stays, following, drafts, tokens, accepted, tail, positions, COUNT: tl.constexpr, TAIL: tl.constexpr
):  # fmt: skip
    """Write what acceptance.settle gives, and what it changes."""
    row = tl.arange(0, triton.next_power_of_2(COUNT + 1))
    draft = tl.load(drafts + row, mask=row < COUNT, other=0)
    tl.store(tokens + row, tl.where((row == stays) | (row == COUNT), following, draft), mask=row <= COUNT)
    tl.store(accepted, stays)
    for each in tl.static_range(len(positions)):
        tl.store(positions[each], tl.load(positions[each]) - (COUNT - stays))
    if TAIL == 2:
        before = tl.load(tail + 1)
        kept = tl.sum(tl.where(row == stays - 1, draft, 0), 0)
        tl.store(tail, tl.where(stays == 0, before, kept))
        tl.debug_barrier()  # all threads have read what the next store replaces
    tl.store(tail + TAIL - 1, following)
