"""The ring cache inside transformers, eager: one Python call a kernel."""

import torch
from torch import Tensor

from sinkbench.attention import decode_hidden
from sinkbench.nll import logits
from sinkbench.ring import RingStream

CACHE = "ring"


class Engine:
    """Streaming or window decoding, one token at a time, after an exact parallel prefill."""

    def __init__(self, model, policy, scorer):
        self.model, self.scorer, self.visibility = model, scorer, policy.visibility(0)

    @torch.inference_mode()
    def prefill(self, prompt: Tensor) -> Tensor:
        self.ring = RingStream(self.model, self.visibility)
        chunks, hidden = self.scorer.prefill(prompt, self.visibility)
        self.ring.load(chunks)
        return logits(self.model, hidden)[0]

    @torch.inference_mode()
    def step(self, token: Tensor) -> Tensor:
        self.ring.begin()
        hidden = decode_hidden(self.model, token[None], self.ring)
        return logits(self.model, hidden[0])[0]

    def reset(self) -> None:
        self.ring = None

    def cache_bytes(self) -> int:
        return self.ring.nbytes()
