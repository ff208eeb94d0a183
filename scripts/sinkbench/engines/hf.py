"""transformers as it comes: DynamicCache, its default attention, its own rotation. The dense baseline."""

from contextlib import nullcontext

import torch
from torch import Tensor
from transformers import DynamicCache

from sinkbench.model.hf_attention import STOCK, stock_hidden
from sinkbench.model.nll import logits
from sinkbench.model.sdpa import force_sdpa_backend


class Engine:
    """Dense decoding; the cache grows by one token a step.

    A prompt is always read with the default attention. Its chunks need a mask, which not all kernels take,
    and "eager" would hold all its scores.

    Args:
        attention: name of transformers' attention that the steps take.
        kernel: name of the one kernel that torch's attention may use for the steps (SDPBackend); None: any.
    """

    def __init__(self, model, policy, evaluator, attention: str = STOCK, kernel: str | None = None):
        self.model, self.attention, self.kernel = model, attention, kernel
        self.chunk_tokens = evaluator.chunk_tokens

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        self.cache = DynamicCache(config=self.model.config)
        return self.read(prompts)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        with force_sdpa_backend(self.kernel, self.model) if self.kernel else nullcontext():
            return self._forward(tokens[:, None], self.attention)

    def read(self, prompts: Tensor) -> Tensor:
        """Read ids [1, T] into the cache, by chunks; float32 logits [1, vocabulary] of the last."""
        for chunk in prompts.split(self.chunk_tokens, dim=1):
            scores = self._forward(chunk, STOCK)
        return scores

    def reset(self) -> None:
        self.cache = None

    def cache_bytes(self) -> int:
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.cache.layers)

    def _forward(self, ids: Tensor, attention: str) -> Tensor:
        return logits(self.model, stock_hidden(self.model, ids, self.cache, attention)[:, -1])
