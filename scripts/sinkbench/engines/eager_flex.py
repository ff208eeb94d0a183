"""The ring cache of `eager` with torch's flex attention, compiled."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from sinkbench.engines import eager
from sinkbench.runtime.compile_cost import CompileCost
from sinkbench.runtime.torch_compile import compiled


class Engine(eager.Engine):
    """The engine of `eager`, with flex attention in place of SDPA."""

    def __init__(self, model, policy, evaluator):
        super().__init__(model, policy, evaluator)
        self.attention = FlexAttention(model.device)
        self.compilation = CompileCost(model.device)

    def around_step(self) -> AbstractContextManager:
        """Flex attention is compiled when it is first called."""
        return self.compilation.watched()


class FlexAttention:
    """ring.leading_slots in two shapes only: all slots with those not in use hidden, and all slots."""

    def __init__(self, device: torch.device):
        self.visible = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self, query: Tensor, keys: Tensor, values: Tensor, visible: int) -> Tensor:
        if visible == keys.shape[2]:
            return compiled(flex_attention)(query, keys, values)
        self.visible.fill_(visible)
        return compiled(flex_attention)(query, keys, values, score_mod=self._hide)

    def _hide(self, score: Tensor, batch: Tensor, head: Tensor, query: Tensor, slot: Tensor) -> Tensor:
        return torch.where(slot < self.visible, score, float("-inf"))
