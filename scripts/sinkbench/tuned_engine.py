"""The static step in those modes of torch.compile that tune kernels by coordinate descent."""

from torch import Tensor

from sinkbench.rope import at_least_float32
from sinkbench.static_engine import StaticEngine


class TunedEngine(StaticEngine):
    """See static_engine. A product with one row also becomes a reduction, whose kernel can then be tuned.

    The rewriting forgets the type that was asked of the product (`mm` in torch/_inductor/decomposition.py of
    torch 2.13; 2.11 gave such results): logits come rounded to the model's type. That alone costs 0.001 nats,
    but a loss computed in that type would cost 0.035 in bfloat16.
    """

    def step(self, tokens: Tensor) -> Tensor:
        scores = super().step(tokens)
        return scores.to(at_least_float32(scores.dtype))
