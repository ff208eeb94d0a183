"""Decode with a cache that grows by concatenation, so that no two steps share their shapes.

It computes what the static step computes, so that the two show what stable shapes are worth to a compiler.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sinkbench.attention.ring import ring_visibility
from sinkbench.model.families import family_of
from sinkbench.model.forward import forward_hidden, grouped, ungrouped
from sinkbench.model.nll import logits
from sinkbench.model.rope import Rotary, rotate_head
from sinkbench.runtime.compile_cost import CompileCost
from sinkbench.runtime.torch_compile import compiled_while_patient

Pair = tuple[Tensor, Tensor]


class Engine:
    """The engine interface (see engines) of batch 1, for growing caches.

    Args:
        dynamic: whether torch.compile compiles for all lengths at once (True) or for each (False); None: the
            step runs as it is.
    """

    def __init__(self, model, policy, evaluator, dynamic: bool | None = None):
        self.model, self.policy, self.evaluator, self.rotary = model, policy, evaluator, Rotary(model)
        compiles = dynamic is not None
        self.read = compiled_while_patient(read_token, dynamic) if compiles else read_token
        self.compilation = CompileCost(model.device) if compiles else None
        self.reset()

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        length = prompts.shape[1]
        chunks, hidden = self.evaluator.prefill(
            prompts[0], ring_visibility(self.policy, length + max_new_tokens)
        )
        carried = [chunks.carried[layer] for layer in sorted(chunks.carried)]
        self.held = [tuple(part[:, -length:].clone() for part in pair) for pair in carried]
        self.length = length
        return logits(self.model, hidden)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        position = torch.full((1,), self.length, device=tokens.device)  # no copy to wait for
        with self.compilation.watched() if self.compilation else nullcontext():
            scores, self.held = self.read(self.model, tokens, self.held, self.rotary.at(position))
        self.length += 1
        return scores

    def reset(self) -> None:
        self.held: list[Pair] = []
        self.length = 0  # tokens read

    def cache_bytes(self) -> int:
        return sum(part.nbytes for pair in self.held for part in pair)


def read_token(model, token: Tensor, held: list[Pair], table: Pair) -> tuple[Tensor, list[Pair]]:
    """Read one id [1]: float32 logits [1, vocabulary], and every layer's keys and values, one token longer.

    Args:
        held: of every layer, rotated keys and values [kv_heads, tokens, head_dim].
        table: cosine and sine [1, rotary_dim] of the token's position.
    """
    reading = _Reading(family_of(model).project, held, table, [])
    return logits(model, forward_hidden(model, token, reading)), reading.grown


class _Reading(NamedTuple):
    """One token's way through the layers (see forward_hidden)."""

    project: Callable
    held: list[Pair]
    table: Pair
    grown: list[Pair]

    def attend(self, index: int, layer, hidden: Tensor) -> Tensor:
        """Attended heads [heads, 1, head_dim] of the layer's input [1, hidden]."""
        query, key, value = self.project(layer, hidden)
        new = rotate_head(key, self.table), value
        keys, values = (torch.cat(pair, dim=1) for pair in zip(self.held[index], new, strict=True))
        self.grown.append((keys, values))
        query = grouped(rotate_head(query, self.table), len(keys))
        attended = scaled_dot_product_attention(query[None], keys[None], values[None])[0]
        return ungrouped(attended, len(hidden))
