"""The recompute baseline without a cache: every token is a fresh pass over the sinks and the window."""

import torch
from torch import Tensor

from sinkbench.model.hf_attention import stock_hidden
from sinkbench.model.nll import logits


class Engine:
    """Keeps token ids, not keys: [the first S | the last W + 1]."""

    def __init__(self, model, policy, evaluator):
        self.model, self.visibility = model, policy.visibility(0)

    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        self.sinks, self.recent = prompts[0].tensor_split([self.visibility.sinks])
        return self._forward()

    def step(self, tokens: Tensor) -> Tensor:
        missing = self.visibility.sinks - len(self.sinks)
        if missing > 0:
            self.sinks = torch.cat((self.sinks, tokens))
        else:
            self.recent = torch.cat((self.recent, tokens))
        return self._forward()

    def reset(self) -> None:
        self.sinks = self.recent = None

    def cache_bytes(self) -> int:
        return 0

    @torch.inference_mode()
    def _forward(self) -> Tensor:
        self.recent = self.recent[-(self.visibility.recent + 1) :]
        ids = torch.cat((self.sinks, self.recent))
        return logits(self.model, stock_hidden(self.model, ids[None])[:, -1])
