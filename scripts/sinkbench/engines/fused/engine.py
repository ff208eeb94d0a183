"""Hand-written Triton kernels, two launches a layer, in one CUDA graph (see layer_kernels)."""

from functools import cached_property

import torch
from torch import Tensor

from sinkbench.attention.ring import ring_visibility
from sinkbench.attention.ring_refresh import RingRefresh, kept_queries, prefill_ring
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.weights import FusedWeights, check_supported
from sinkbench.errors import Unavailable
from sinkbench.model.nll import logits
from sinkbench.policies import Visibility
from sinkbench.runtime.cuda_graph import capture
from sinkbench.runtime.device import launches_overlap
from sinkbench.runtime.unavailable import ON_CHIP_MEMORY, PACKAGE, unavailable_on

# Parts of a step by kernel, for the profile (see parts): several share the memory within one launch.
PARTS = {
    "embed_kernel": "other",
    "qkv_attention_up_kernel": "projections+attention+mlp",
    "dense_down_kernel": "mlp+projections",
    "head_kernel": "head",
}


class Engine:
    """Up to 16 streams in step; the step is captured when it is first taken.

    A ring whose size never changes is kept with its step over prefills of as many streams. The next prefill
    overwrites all that a step reads of it.

    Raises Unavailable off CUDA, for models that the kernels do not compute, and where these do not fit.
    """

    asks = True  # as pdl, an argument of FusedStep

    def __init__(self, model, policy, evaluator):
        check_supported(model)
        if model.device.type != "cuda":
            raise Unavailable("the fused engine needs a CUDA device; the other engines decode on a CPU")
        self.model, self.policy, self.evaluator = model, policy, evaluator
        self.pdl = launches_overlap(model.device)
        self._free()

    @cached_property
    def weights(self) -> FusedWeights:
        """What all steps read of the model."""
        return FusedWeights(self.model)

    def separate_launches(self) -> None:
        """From the next step on, no kernel does anything for the next one before it has ended.

        Without PDL, attention of some small models also reads fewer keys at a time (tiles.own_of).
        """
        self.pdl = self.asks = False
        self.fused = self.replay = None

    def bytes_read(self) -> dict[str, int]:
        """Bytes that each kernel must read in the next step, by its name; after a step was taken."""
        return self.fused.bytes_read()

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        batch, tokens = prompts.shape
        visibility = ring_visibility(self.policy, tokens + max_new_tokens)
        if not self._serves(visibility, batch):
            self._free()  # two might not fit
            self.ring = FusedRing(self.model, visibility, batch, kept_queries(self.policy))
        self.refresh, hidden = None, []
        for row, prompt in enumerate(prompts):
            last, self.refresh = prefill_ring(self.evaluator, self.policy, prompt, self.ring, row)
            hidden.append(last)
        if self.fused is not None:
            self.fused.begin()
        return logits(self.model, torch.cat(hidden))

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        if self.refresh is not None:
            self.refresh.before(tokens)
        if self.replay is None:
            with unavailable_on(PACKAGE, ON_CHIP_MEMORY, what="fused"):
                self._build(tokens)
        self.fused.tokens.copy_(tokens)
        scores = self.replay()
        self.ring.position += 1
        return scores

    def reset(self) -> None:
        """Free a cache that grows, and that of several streams, which is large."""
        self.refresh = None
        if self.ring is not None and (self.policy.cache == "growing" or self.ring.keys.shape[1] > 1):
            self._free()

    def cache_bytes(self) -> int:
        store = 0 if self.refresh is None else self.refresh.nbytes()
        return self.ring.nbytes() + store

    def _free(self) -> None:
        self.ring: FusedRing | None = None
        self.fused = self.replay = None
        self.refresh: RingRefresh | None = None

    def _serves(self, visibility: Visibility, batch: int) -> bool:
        """Whether the ring is one for such streams, and may be kept."""
        if self.ring is None or self.policy.cache == "growing":
            return False
        return (self.ring.visibility, self.ring.keys.shape[1]) == (visibility, batch)

    def _build(self, tokens: Tensor) -> None:
        from sinkbench.engines.fused.step import FusedStep  # needs Triton, which CUDA builds of torch bring

        fused = FusedStep(self.model, self.ring, self.pdl, self.asks, weights=self.weights)
        fused.begin()
        fused.tokens.copy_(tokens)
        self.replay = capture(fused, rewind=lambda: fused.position.sub_(1))
        self.fused = fused  # not before: a launch that failed leaves counters as they are
