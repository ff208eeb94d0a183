"""How much of its attention a query gives to the first tokens of a text (Xiao et al. 2024, section 3.1).

A stream hands each layer's queries and keys to its store (chunked.ChunkStream). This store only looks on. It
forms the scores of all keys for a block of queries at a time, so that no matrix of all queries is ever kept.
The share of the first n keys is exp(logsumexp of their scores - logsumexp of all that the query sees).
"""

import torch
from torch import Tensor

from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.history import LayerHistories
from sinkbench.policies import Visibility
from sinkbench.runtime.dtypes import at_least_float32

FIRST = (1, 2, 4, 8)  # tokens
LEAST_TOKENS = 2 * max(FIRST)  # of a text: each query that counts then sees all of them
QUERY_BLOCK = 64  # queries whose scores are held at once


def attention_to_first(evaluator: Evaluator, ids: Tensor) -> Tensor:
    """Mean share of dense attention to the first FIRST tokens [layers, heads, len(FIRST)], float64.

    Args:
        ids: a text [T] of at least LEAST_TOKENS; queries t >= T / 2 count.
    """
    shares = SinkShares(len(ids))
    evaluator.observe(ids, Visibility(sinks=0, recent=len(ids)), shares)
    return shares.mean()


class SinkShares:
    """Looks on while a dense stream reads one text of `tokens`, in the place of a refresh's store."""

    def __init__(self, tokens: int):
        self.begin = -(-tokens // 2)
        self.count = tokens - self.begin
        self.keys, self.totals = LayerHistories(tokens), {}

    def tokens_until_refresh(self, stream, most: int) -> int:
        """No refresh is ever due."""
        return most

    def advance(self, ids: Tensor) -> None:
        """Ids say nothing of attention."""

    def append(self, layer: int, start: int, queries: Tensor, keys: Tensor, values: Tensor) -> None:
        """Add up the shares of rotated queries [heads, tokens, dim] of the tokens from `start` on.

        Args:
            keys: rotated [key heads, tokens, dim]; query heads in a row share one, as many as there are more.
            values: [key heads, tokens, head_dim]; their size scales the scores.
        """
        self.keys.append(layer, keys)
        seen = self.keys[layer].repeat_interleave(len(queries) // len(keys), 0)
        scale = values.shape[-1] ** -0.5
        for block in range(max(0, self.begin - start), queries.shape[1], QUERY_BLOCK):
            shares = _shares(queries[:, block : block + QUERY_BLOCK], seen, start + block, scale)
            self.totals[layer] = self.totals.get(layer, 0) + shares.double().sum(1)

    def mean(self) -> Tensor:
        """Mean over the queries of the text's second half [layers, heads, len(FIRST)], float64."""
        return torch.stack([self.totals[layer] for layer in sorted(self.totals)]) / self.count


def _shares(queries: Tensor, keys: Tensor, start: int, scale: float) -> Tensor:
    """Shares [heads, queries, len(FIRST)] of queries from `start` on; `keys` are those from 0 on."""
    wide = at_least_float32(queries.dtype)
    keys = keys[:, : start + queries.shape[1]].to(wide)
    scores = queries.to(wide) @ keys.mT * scale
    later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(start + 1)
    seen = scores.masked_fill(later, float("-inf")).logsumexp(-1)
    first = [scores[..., :count].logsumexp(-1) for count in FIRST]
    return (torch.stack(first, -1) - seen[..., None]).exp()
