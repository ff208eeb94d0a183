"""The StreamingLLM paper's formulation, re-implemented as a baseline: rotate everything, concatenate.

Keys are cached before rotation (Xiao et al. 2024, section 3.2 and its public code). In each layer a step
concatenates the new key, rotates all keys at their positions inside the cache, and attends with plain matrix
products. Eviction concatenates again. The formulation is exact; the ring (`eager`) avoids its work.
"""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.cache_utils import Cache, DynamicLayer

from sinkbench.model.hf_attention import decode_hidden
from sinkbench.model.nll import logits
from sinkbench.model.rope import Rotary, rotate_head
from sinkbench.runtime.dtypes import at_least_float32
from sinkbench.runtime.sdpa import force_sdpa_backend


class ConcatenatedStream(Cache):
    """Unrotated keys and values of each layer, oldest first: sinks, then recent tokens.

    Args:
        attention: of rotated queries, which stand last, to all keys and values (see `plain`).
    """

    def __init__(self, model, visibility, attention):
        super().__init__(layers=[DynamicLayer() for _ in model.gpt_neox.layers])
        self.visibility, self.attention = visibility, attention
        positions = torch.arange(visibility.budget + 1, device=model.device)
        self.cos, self.sin = Rotary(model).at(positions)
        self.held: dict[int, tuple[Tensor, Tensor]] = {}
        self.length = 0

    def begin(self, tokens: int) -> None:
        """Step to the next token, or to a first block of them; positions in the cache are 0 .. length - 1."""
        self.tokens = tokens
        self.length = min(self.length, self.visibility.budget) + tokens
        self.positions = torch.arange(self.length, device=self.cos.device)

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_, **__):
        """All keys, rotated anew, and all values [1, heads, length, head_dim]."""
        keys, values = key_states, value_states
        if layer_idx in self.held:
            held = self.held[layer_idx]
            keys, values = torch.cat((held[0], keys), 2), torch.cat((held[1], values), 2)
        self.held[layer_idx] = self._evict(keys), self._evict(values)
        return rotate_head(keys, self._table(self.positions)), values

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """Attention output [1, heads, tokens, head_dim] of unrotated queries, which stand last."""
        query = rotate_head(query, self._table(self.positions[-self.tokens :]))
        return self.attention(query, keys, values, scaling)

    def nbytes(self) -> int:
        """Bytes of keys and values held between steps."""
        return sum(part.nbytes for pair in self.held.values() for part in pair)

    def _table(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return self.cos[positions], self.sin[positions]

    def _evict(self, held: Tensor) -> Tensor:
        sinks, budget = self.visibility.sinks, self.visibility.budget
        if held.shape[2] <= budget:
            return held
        return torch.cat((held[:, :, :sinks], held[:, :, held.shape[2] - (budget - sinks) :]), 2)


def plain(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Attended values [1, heads, tokens, head_dim] by matrix products; several queries have as many keys."""
    scores, tokens = query @ keys.mT * scale, query.shape[2]
    if tokens > 1:
        later = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores.softmax(dim=-1, dtype=at_least_float32(scores.dtype)).to(values.dtype) @ values


def by_torch(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Attended values [1, heads, tokens, head_dim] by torch's attention, without a mask: flash takes none."""
    return scaled_dot_product_attention(query, keys, values, is_causal=query.shape[2] > 1, scale=scale)


class Engine:
    """Read a first block of at most `budget` tokens at once, as the published code does, then token by token.

    Args:
        kernel: name of the kernel of torch's attention (SDPBackend) that replaces plain products, if any.
    """

    def __init__(self, model, policy, evaluator, kernel: str | None = None):
        self.model, self.visibility, self.kernel = model, policy.visibility(0), kernel

    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        self.stream = ConcatenatedStream(self.model, self.visibility, by_torch if self.kernel else plain)
        first, rest = prompts[0].tensor_split([self.visibility.budget])
        scores = self._forward(first)
        for token in rest:
            scores = self._forward(token[None])
        return scores

    def step(self, tokens: Tensor) -> Tensor:
        return self._forward(tokens)

    def reset(self) -> None:
        self.stream = None

    def cache_bytes(self) -> int:
        return self.stream.nbytes()

    @torch.inference_mode()
    def _forward(self, ids: Tensor) -> Tensor:
        self.stream.begin(len(ids))
        with force_sdpa_backend(self.kernel, self.model) if self.kernel else nullcontext():
            hidden = decode_hidden(self.model, ids[None], self.stream)
        return logits(self.model, hidden[0, -1:])
