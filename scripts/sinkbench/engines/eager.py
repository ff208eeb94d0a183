"""The ring cache inside transformers, eager: one Python call a kernel."""

import torch
from torch import Tensor

from sinkbench.attention import decode_hidden
from sinkbench.nll import logits
from sinkbench.ring import RingStream, ring_visibility

CACHES = ("ring", "growing")


class Engine:
    """One token at a time, after an exact parallel prefill. A growing cache is a ring that never fills."""

    def __init__(self, model, policy, scorer):
        self.model, self.policy, self.scorer = model, policy, scorer

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, room: int) -> Tensor:
        visibility = ring_visibility(self.policy, prompts.shape[1] + room)
        self.ring = RingStream(self.model, visibility)
        chunks, hidden = self.scorer.prefill(prompts[0], visibility)
        self.ring.buffers.load(chunks)
        return logits(self.model, hidden)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        self.ring.begin()
        return logits(self.model, decode_hidden(self.model, tokens[None], self.ring)[0])

    def reset(self) -> None:
        self.ring = None

    def cache_bytes(self) -> int:
        return self.ring.buffers.nbytes()
