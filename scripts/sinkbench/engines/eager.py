"""The ring cache in plain torch, eager: one Python call a kernel."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from sinkbench.attention.ring import PrunedBuffers, RingBuffers, RingStream, leading_slots, ring_visibility
from sinkbench.attention.ring_refresh import RingRefresh, kept_queries, prefill_ring
from sinkbench.model.families import family_of
from sinkbench.model.forward import forward_hidden
from sinkbench.model.nll import logits
from sinkbench.model.sdpa import force_sdpa_backend


class Engine:
    """One token at a time, after an exact parallel prefill. A growing cache is a ring that never fills.

    Args:
        kernel: name of the one kernel that torch's attention may use for the steps (SDPBackend); None: any.
    """

    def __init__(self, model, policy, evaluator, kernel: str | None = None):
        self.model, self.policy, self.evaluator, self.kernel = model, policy, evaluator, kernel
        self.attention = leading_slots
        self.refresh: RingRefresh | None = None

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        visibility = ring_visibility(self.policy, prompts.shape[1] + max_new_tokens)
        kind = PrunedBuffers if self.policy.cache == "pruned" else RingBuffers
        buffers = kind(self.model, visibility, observed=kept_queries(self.policy))
        hidden, self.refresh = prefill_ring(self.evaluator, self.policy, prompts[0], buffers)
        self.ring = RingStream(buffers, family_of(self.model).project, self.attention)
        return logits(self.model, hidden)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        if self.refresh is not None:
            self.refresh.before(tokens)
        self.ring.begin()
        with self.around_step():
            return logits(self.model, forward_hidden(self.model, tokens, self.ring))

    def around_step(self) -> AbstractContextManager:
        """The context in which a step runs."""
        return force_sdpa_backend(self.kernel, self.model) if self.kernel else nullcontext()

    def reset(self) -> None:
        self.ring = self.refresh = None

    def cache_bytes(self) -> int:
        store = 0 if self.refresh is None else self.refresh.nbytes()
        return self.ring.buffers.nbytes() + store
