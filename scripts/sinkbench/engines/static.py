"""Decode with the static ring: in plain torch, compiled, captured in a CUDA graph, or both."""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from sinkbench.attention.ring import ring_visibility
from sinkbench.attention.ring_refresh import RingRefresh, kept_queries, prefill_ring
from sinkbench.engines.static_ring import StaticRing, advance, read_token
from sinkbench.errors import Unavailable
from sinkbench.model.nll import logits
from sinkbench.runtime.compile_cost import CompileCost
from sinkbench.runtime.cuda_graph import capture
from sinkbench.runtime.dtypes import at_least_float32
from sinkbench.runtime.torch_compile import REDUCE_OVERHEAD, compiled


class Engine:
    """The engine interface (see engines) of batch 1.

    A step is built when it is first needed, so that the warm-up of a measurement pays for it. A ring, whose
    size never changes, is kept with its steps over `reset`, and overwritten by the next prefill.

    Args:
        mode: of torch.compile (see torch_compile.MODES); None: the step runs as it is.
        captured: whether the step is captured in a CUDA graph, by us and not by torch.compile.
    """

    def __init__(self, model, policy, evaluator, mode: str | None = None, captured: bool = False):
        self.mode, self.captured = mode, captured
        if (self.captured or self.mode == REDUCE_OVERHEAD) and model.device.type != "cuda":
            raise Unavailable("a CUDA graph needs a CUDA device")
        self.model, self.policy, self.evaluator = model, policy, evaluator
        self.compilation = CompileCost(model.device) if self.mode else None
        self._free()
        self.reset()

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        self.reset()
        if self.ring is None:
            visibility = ring_visibility(self.policy, prompts.shape[1] + max_new_tokens)
            self.ring = StaticRing(self.model, visibility, kept_queries(self.policy))
            if self.mode == REDUCE_OVERHEAD:
                self.ring.pin()
        hidden, self.refresh = prefill_ring(self.evaluator, self.policy, prompts[0], self.ring.buffers)
        self.ring.position.fill_(self.ring.buffers.position)
        return logits(self.model, hidden)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        if self.refresh is not None:
            self.refresh.before(tokens)
        self.ring.token.copy_(tokens)
        with self.compilation.watched() if self.compilation else nullcontext():
            scores = self._step(self.ring.is_full())
        self.ring.buffers.position += 1
        # Coordinate descent turns a product with one row into a reduction and forgets the type asked of it
        # (`mm` in torch/_inductor/decomposition.py of 2.13). A loss in bfloat16 would cost 0.035 nats.
        return scores.to(at_least_float32(scores.dtype))

    def reset(self) -> None:
        self.refresh: RingRefresh | None = None
        if self.policy.cache == "growing":
            self._free()

    def cache_bytes(self) -> int:
        store = 0 if self.refresh is None else self.refresh.nbytes()
        return self.ring.buffers.nbytes() + store

    def _free(self) -> None:
        self.ring: StaticRing | None = None
        self.steps: dict[bool, Callable[[], Tensor]] = {}

    def _step(self, full: bool) -> Tensor:
        if full not in self.steps:
            self.steps[full] = self._build(full)
        return self.steps[full]()

    def _build(self, full: bool) -> Callable[[], Tensor]:
        """The step of a ring that is full, or still filling."""
        ring, place, read = self.ring, advance, read_token
        if self.mode:
            place, read = (compiled(function, self.mode) for function in (advance, read_token))

        def step() -> Tensor:
            if self.mode == REDUCE_OVERHEAD:
                torch.compiler.cudagraph_mark_step_begin()  # both graphs' outputs live until the next
            return read(ring, place(ring), full)

        return capture(step, rewind=lambda: ring.position.sub_(1)) if self.captured else step
