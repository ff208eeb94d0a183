"""transformers as it comes: DynamicCache, its default attention, its own rotation. The dense baseline."""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend
from transformers import DynamicCache

from sinkbench.attention import STOCK, stock_hidden
from sinkbench.nll import logits
from sinkbench.sdpa import only

CACHES = ("growing",)


class Engine:
    """Dense decoding; the cache grows by one token a step.

    The siblings stock_* name another attention of transformers, or the one kernel that torch's may use, for
    their steps. A prompt is always read with the default: chunks of it need a mask, which not all kernels
    take, and "eager" would hold all its scores.
    """

    attention = STOCK
    kernel: SDPBackend | None = None

    def __init__(self, model, policy, scorer):
        self.model = model
        self.chunk_tokens = scorer.chunk_tokens

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, room: int) -> Tensor:
        self.cache = DynamicCache(config=self.model.config)
        for chunk in prompts.split(self.chunk_tokens, dim=1):
            scores = self._forward(chunk, STOCK)
        return scores

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        with only(self.kernel, self.model) if self.kernel else nullcontext():
            return self._forward(tokens[:, None], self.attention)

    def reset(self) -> None:
        self.cache = None

    def cache_bytes(self) -> int:
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.cache.layers)

    def _forward(self, ids: Tensor, attention: str) -> Tensor:
        return logits(self.model, stock_hidden(self.model, ids, self.cache, attention)[:, -1])
