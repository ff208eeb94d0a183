"""transformers as it comes: DynamicCache, its default attention, its own rotation. The dense baseline."""

import torch
from torch import Tensor
from transformers import DynamicCache

from sinkbench.attention import stock_hidden
from sinkbench.nll import logits

CACHE = "growing"


class Engine:
    """Dense decoding; the cache grows by one token a step."""

    def __init__(self, model, policy, scorer):
        self.model = model
        self.chunk_tokens = scorer.chunk_tokens

    @torch.inference_mode()
    def prefill(self, prompt: Tensor) -> Tensor:
        self.cache = DynamicCache(config=self.model.config)
        for chunk in prompt.split(self.chunk_tokens):
            scores = self._forward(chunk)
        return scores

    @torch.inference_mode()
    def step(self, token: Tensor) -> Tensor:
        return self._forward(token)

    def reset(self) -> None:
        self.cache = None

    def cache_bytes(self) -> int:
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.cache.layers)

    def _forward(self, ids: Tensor) -> Tensor:
        return logits(self.model, stock_hidden(self.model, ids[None], self.cache)[0, -1:])[0]
