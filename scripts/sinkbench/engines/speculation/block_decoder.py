"""One stream read in blocks, the last tokens of which can be taken back."""

import torch
from torch import Tensor

from sinkbench.attention.ring import ring_visibility
from sinkbench.engines.speculation.block_ring import Blocks
from sinkbench.errors import Unavailable
from sinkbench.model.nll import logits

CACHES = ("ring", "growing")


class BlockDecoder:
    """A model that decodes in blocks.

    Args:
        policy: one whose cache form is in CACHES.
        evaluator: of the same model; it reads prompts.
        block: the most tokens that are read at once; all of them but one may be taken back.
        kind: of ring, which reads: Blocks, or one of its interface.

    A ring, whose size never changes, stays where it is over prefills, so that a captured graph stays valid.
    """

    def __init__(self, model, policy, evaluator, block: int, kind=Blocks):
        if policy.cache not in CACHES:
            raise Unavailable(
                f"blocks are read over a cache of form {' or '.join(CACHES)}, not {policy.cache}"
            )
        self.model, self.policy, self.evaluator, self.block = model, policy, evaluator, block
        self.kind, self.ring = kind, None

    @torch.inference_mode()
    def prefill(self, prompt: Tensor, max_new_tokens: int) -> Tensor:
        """Read ids [T], all sinks among them, before at most `room` more; logits [1, vocabulary] of the last.

        Raises ValueError for a prompt that does not hold the sinks.
        """
        if self.ring is None or self.policy.cache == "growing":
            self.ring = None  # two might not fit
            visibility = ring_visibility(self.policy, len(prompt) + max_new_tokens)
            self.ring = self.kind(self.model, visibility, self.block)
        if len(prompt) < self.ring.visibility.sinks:
            raise ValueError(f"{len(prompt)} tokens do not hold the {self.ring.visibility.sinks} sinks")
        chunks, hidden = self.evaluator.prefill(prompt, self.ring.visibility)
        self.ring.buffers.load(chunks)
        self.ring.position.fill_(self.ring.buffers.position)
        return logits(self.model, hidden)

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> Tensor:
        """Read ids [rows]; logits [rows, vocabulary], each row that of decoding token by token."""
        return self.ring.read(tokens)

    @torch.inference_mode()
    def take_back(self, count: Tensor | int) -> None:
        """Forget the last `count` tokens, back to at most block - 1 before the furthest ever read."""
        self.ring.position.sub_(count)

    def reset(self) -> None:
        """Free a cache that grows."""
        if self.policy.cache == "growing":
            self.ring = None

    def cache_bytes(self) -> int:
        """Bytes of keys and values held now."""
        return self.ring.buffers.nbytes()
