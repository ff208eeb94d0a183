"""The reference StreamingLLM formulation, re-implemented as a baseline: rotate everything, concatenate.

Keys are cached before rotation; every step concatenates the new key, rotates all of them at their positions
inside the cache, attends, and evicts by concatenating again (Xiao et al. 2024, section 3.2 and its public
code). Exact, and slow: it is what the ring (`eager`) avoids.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.cache_utils import Cache, DynamicLayer

from sinkbench.attention import forward_hidden, streaming_attention
from sinkbench.nll import logits
from sinkbench.rope import Rotary, rotate_head

CACHE = "ring"


class ConcatenatedStream(Cache):
    """Unrotated keys and values of each layer, oldest first: sinks, then recent tokens."""

    def __init__(self, model, visibility):
        super().__init__(layers=[DynamicLayer() for _ in model.gpt_neox.layers])
        self.visibility = visibility
        self.rotary = Rotary(model.config, model.device)
        self.held: dict[int, tuple[Tensor, Tensor]] = {}
        self.length = 0

    def begin(self) -> None:
        """Step to the next token; positions inside the cache are 0 .. length - 1."""
        self.length = min(self.length, self.visibility.budget) + 1
        positions = torch.arange(self.length, device=self.rotary.frequencies.device)
        self._table = self.rotary.at(positions)

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_, **__):
        """All keys, rotated anew, and all values [1, heads, length, head_dim]."""
        keys, values = key_states, value_states
        if layer_idx in self.held:
            held = self.held[layer_idx]
            keys, values = torch.cat((held[0], keys), 2), torch.cat((held[1], values), 2)
        self.held[layer_idx] = self._evict(keys), self._evict(values)
        return rotate_head(keys, self._table), values

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """Attention output [1, heads, 1, head_dim] of one unrotated query, which stands last."""
        last = tuple(part[-1:] for part in self._table)
        return scaled_dot_product_attention(rotate_head(query, last), keys, values, scale=scaling)

    def nbytes(self) -> int:
        """Bytes of keys and values held between steps."""
        return sum(part.nbytes for pair in self.held.values() for part in pair)

    def _evict(self, held: Tensor) -> Tensor:
        sinks, budget = self.visibility.sinks, self.visibility.budget
        if held.shape[2] <= budget:
            return held
        return torch.cat((held[:, :, :sinks], held[:, :, held.shape[2] - (budget - sinks) :]), 2)


class Engine:
    """Token by token from the first one on: the reference has no parallel prefill beyond its budget."""

    def __init__(self, model, policy, scorer):
        self.model, self.visibility = model, policy.visibility(0)

    @torch.inference_mode()
    def prefill(self, prompt: Tensor) -> Tensor:
        self.stream = ConcatenatedStream(self.model, self.visibility)
        for token in prompt.split(1):
            scores = self.step(token)
        return scores

    @torch.inference_mode()
    def step(self, token: Tensor) -> Tensor:
        self.stream.begin()
        with streaming_attention(self.model):
            hidden = forward_hidden(self.model, token[None], self.stream)
        return logits(self.model, hidden[0])[0]

    def cache_bytes(self) -> int:
        return self.stream.nbytes()
