"""One stream read in blocks by the fused kernels: a step for every size of block, over one ring."""

import torch
from torch import Tensor

from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.weights import FusedWeights, check_supported
from sinkbench.errors import Unavailable
from sinkbench.policies import Visibility
from sinkbench.runtime.device import launches_overlap

MOST_TOKENS = 16  # columns of a product on the matrix units


class Blocks:
    """A ring for blocks of up to `block` tokens, with the interface of speculation.block_ring.Blocks.

    Attributes:
        position: stream index of the last token read and not taken back, int64 [1], on the device.
    """

    def __init__(self, model, visibility: Visibility, block: int):
        check_supported(model)
        if block > MOST_TOKENS:
            raise Unavailable(f"fused: blocks of {block} tokens; it reads at most {MOST_TOKENS} at once")
        self.model, self.visibility, self.block = model, visibility, block
        self.buffers = FusedRing(model, visibility, block=block)
        self.position = torch.full((1,), -1, device=model.device)
        self.weights, self.steps = FusedWeights(model), {}

    def read(self, tokens: Tensor) -> Tensor:
        """Read ids [rows], all past the sinks; float32 logits [rows, vocabulary]."""
        step = self._step(len(tokens))
        step.tokens.copy_(tokens)
        return step().clone()  # the step's own are written again in the same round

    def _step(self, rows: int):
        from sinkbench.engines.fused.step import FusedStep  # needs Triton, which CUDA builds of torch bring

        if rows not in self.steps:
            pdl = launches_overlap(self.model.device)
            given = {"block": rows, "weights": self.weights, "position": self.position}
            self.steps[rows] = FusedStep(self.model, self.buffers, pdl, **given)
        return self.steps[rows]
