"""The end of a round: a rule's verdict, the text that it gives, and what the caches take back."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor


class Round(NamedTuple):
    """What a round gave. A captured one overwrites it in the next."""

    tokens: Tensor  # ids [k + 1], of which the first `accepted` + 1 count
    accepted: Tensor  # int64 [1], drafts that stayed


def settle(
    rule, drafts: Tensor, guesses: Tensor, scores: Tensor, tail: Tensor, positions: tuple[Tensor, ...]
) -> Round:
    """End a round in torch's own kernels: the reference of `acceptance_kernel`.

    Args:
        rule: of `verification`.
        drafts, guesses, scores: as its `verify` takes them.
        tail: the last one or two ids of the text, which become those after the round.
        positions: of the caches, int64 [1], all drafts read; each goes back by as many drafts as fell.
    """
    accepted, following = rule.verify(drafts, guesses, scores)
    tokens = torch.cat((drafts, following)).scatter(0, accepted, following)
    for position in positions:
        position.sub_(len(drafts) - accepted)
    last = accepted + torch.arange(1 - len(tail), 1, device=accepted.device)  # -1: what was the last before
    tail.copy_(torch.cat((tail[-1:], tokens)).gather(0, last + 1))
    return Round(tokens, accepted)


def settler(device: torch.device) -> Callable[..., Round]:
    """`settle`, or one of its interface in a kernel of its own, where there are CUDA and Triton."""
    if device.type != "cuda" or find_spec("triton") is None:
        return settle
    from sinkbench.engines.speculation.acceptance_kernel import Acceptance

    return Acceptance(device)
