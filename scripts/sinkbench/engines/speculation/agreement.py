"""Expected acceptance of a draft model along a given text, every position at once."""

import torch
from torch import Tensor

from sinkbench.attention.evaluator import Evaluator
from sinkbench.policies import Visibility


@torch.inference_mode()
def agreement(
    target: Evaluator, draft: Evaluator, document: Tensor, visibility: Visibility
) -> tuple[Tensor, Tensor]:
    """Chance that a draft stays after each token of document [T]: greedy and sampled, both [T].

    Greedy: 1 where both models have the same likeliest token. Sampled at temperature 1: sum of min(p, q), the
    rate alpha of Leviathan et al. (2023), corollary 3.6. The context is the given text, which both models see
    through a cache of their own under the same rule; with this no continuation can fall into a loop that
    flatters the draft model.

    Args:
        target, draft: with the same chunk size.
    """
    same, shared = [], []
    for p, q in zip(target.scores(document, visibility), draft.scores(document, visibility), strict=True):
        same.append((p.argmax(-1) == q.argmax(-1)).float())
        shared.append(torch.minimum(p.softmax(-1), q.softmax(-1)).sum(-1))
    return torch.cat(same), torch.cat(shared)
