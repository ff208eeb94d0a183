"""Negative log-likelihoods in nats, float32, without a full logit matrix in memory."""

import torch
from torch import Tensor

from sinkbench.model.families import parts_of
from sinkbench.runtime.dtypes import at_least_float32

LOGIT_ROWS = 2048  # rows of logits alive at a time: 0.4 GB in float32 at a vocabulary of 50,304


def logits(model, hidden: Tensor) -> Tensor:
    """Float32 logits [tokens, vocabulary] of hidden states [tokens, hidden].

    Half-precision products accumulate in float32; on CUDA the sum is also returned unrounded.
    """
    head = parts_of(model).head
    if hidden.is_cuda and hidden.dtype.itemsize < 4:
        return torch.mm(hidden, head.weight.T, out_dtype=torch.float32)
    return head(hidden).to(at_least_float32(hidden.dtype))


def token_nll(model, hidden: Tensor, targets: Tensor) -> Tensor:
    """-log p(target) in nats, float32 [tokens], of hidden states [tokens, hidden]."""
    rows = zip(hidden.split(LOGIT_ROWS), targets.split(LOGIT_ROWS), strict=True)
    return torch.cat([token_nll_of_logits(logits(model, part), target) for part, target in rows])


def token_nll_of_logits(scores: Tensor, targets: Tensor) -> Tensor:
    """-log p(target) in nats [tokens] of float32 logits [tokens, vocabulary]."""
    return scores.logsumexp(-1) - scores.gather(1, targets[:, None])[:, 0]
