"""The StreamingLLM paper's formulation, re-implemented as a baseline: rotate everything, concatenate.

Keys are cached before rotation (Xiao et al. 2024, section 3.2 and its public code). In each layer a step
concatenates the new key, rotates all keys at their positions inside the cache, and attends with plain matrix
products. Eviction concatenates again. The formulation is exact; the ring (`eager`) avoids its work.
"""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sinkbench.model.families import family_of
from sinkbench.model.forward import for_each_query_head, forward_hidden
from sinkbench.model.nll import logits
from sinkbench.model.rope import Rotary, rotate_head
from sinkbench.model.sdpa import force_sdpa_backend
from sinkbench.runtime.dtypes import at_least_float32

Pair = tuple[Tensor, Tensor]


class ConcatenatedStream:
    """Unrotated keys and values of each layer, oldest first: sinks, then recent tokens.

    Args:
        attention: of rotated queries, which stand last, to all keys and values (see `plain`).
    """

    def __init__(self, model, visibility, attention):
        self.visibility, self.attention, self.project = visibility, attention, family_of(model).project
        positions = torch.arange(visibility.budget + 1, device=model.device)
        self.cos, self.sin = Rotary(model).at(positions)
        self.held: dict[int, Pair] = {}
        self.length = 0

    def begin(self, tokens: int) -> None:
        """Step to the next token, or to a first block of them; positions in the cache are 0 .. length - 1."""
        self.length = min(self.length, self.visibility.budget) + tokens

    def attend(self, index: int, layer, hidden: Tensor) -> Tensor:
        """Attended heads [heads, tokens, head_dim] of the layer's input [tokens, hidden]."""
        query, key, value = self.project(layer, hidden)
        keys, values = self._append(index, key, value)
        query, keys = (
            rotate_head(query, self._table(len(hidden))),
            rotate_head(keys, self._table(self.length)),
        )
        keys, values = (for_each_query_head(kept, len(query)) for kept in (keys, values))
        return self.attention(query[None], keys[None], values[None])[0]

    def nbytes(self) -> int:
        """Bytes of keys and values held between steps."""
        return sum(part.nbytes for pair in self.held.values() for part in pair)

    def _append(self, index: int, *new: Tensor) -> Pair:
        """All keys, not rotated, and values [heads, length, head_dim]; the budget says what is kept."""
        pair = new
        if index in self.held:
            pair = tuple(torch.cat(parts, 1) for parts in zip(self.held[index], new, strict=True))
        self.held[index] = tuple(map(self._evict, pair))
        return pair

    def _table(self, last: int) -> Pair:
        """Cosine and sine of the `last` positions in the cache: views, so that nothing is launched."""
        stretch = slice(self.length - last, self.length)
        return self.cos[stretch], self.sin[stretch]

    def _evict(self, held: Tensor) -> Tensor:
        sinks, budget = self.visibility.sinks, self.visibility.budget
        if held.shape[1] <= budget:
            return held
        return torch.cat((held[:, :sinks], held[:, held.shape[1] - (budget - sinks) :]), 1)


def plain(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attended values [1, heads, tokens, head_dim] by matrix products; several queries have as many keys."""
    scores, tokens = query @ keys.mT * query.shape[-1] ** -0.5, query.shape[2]
    if tokens > 1:
        later = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores.softmax(dim=-1, dtype=at_least_float32(scores.dtype)).to(values.dtype) @ values


def by_torch(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attended values [1, heads, tokens, head_dim] by torch's attention, without a mask: flash takes none."""
    return scaled_dot_product_attention(query, keys, values, is_causal=query.shape[2] > 1)


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
            hidden = forward_hidden(self.model, ids, self.stream)
        return logits(self.model, hidden[-1:])
