"""Refreshes of a streaming cache (RefreshLite): every R tokens a policy chooses the W keys beside the sinks.

A refresh falls before the token at r, for every multiple r of R past the budget (until then nothing has
been dropped). The refresh rewrites the ring of W recent slots. Between two refreshes the ring goes on as in
streaming: token r + i takes the place of the i-th key that the refresh gave. Two things follow:

- A segment of R tokens is an ordinary chunk of `chunked.ChunkStream` whose carried keys were rewritten.
  Segments are sequential, the tokens of a segment are parallel, and the result equals decoding.
- Any engine that decodes a ring decodes a refreshed cache: a refresh writes into the ring's buffers, in
  place, between two steps (`ring_refresh`). With `refresh_every` past the text's end this is streaming.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from sinkbench.attention.chunked import ChunkStream
from sinkbench.attention.history import LayerHistories
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.model.families import shape_of
from sinkbench.model.forward import forward_hidden, grouped
from sinkbench.policies import Visibility
from sinkbench.runtime.dtypes import at_least_float32


class RefreshStore:
    """The tokens that refreshes look back on: the last `lookback` before the next token.

    Args:
        model: for causal language modelling.
        policy: see _refreshed.RefreshedPolicy; of what it makes resident the first leaves first.

    Attributes:
        heads: of keys in one layer.
        ids: the text's sinks, then its last `lookback` tokens.
        position: stream index of the next token to be read.
        keys, values: by layer, of the last `lookback` tokens past the sinks [kv_heads, tokens, dim]; keys
            (and queries, [heads, tokens, dim]) widened as in `chunked`.
        queries: by layer, of the last `policy.query_window` tokens.
        sinks: by layer, the widened keys of the sinks.
    """

    def __init__(self, model, policy):
        self.model, self.policy, self.position = model, policy, 0
        self.heads = shape_of(model).kv_heads
        self.ids = torch.zeros(0, dtype=torch.int64, device=model.device)
        self.keys, self.values = LayerHistories(policy.lookback), LayerHistories(policy.lookback)
        self.queries, self.sinks = LayerHistories(policy.query_window or 0), {}

    def tokens_until_refresh(self, stream: ChunkStream, most: int) -> int:
        """Tokens until the next refresh, at most `most`. A refresh that is due is made first."""
        if self.policy.is_due(self.position):
            self.refresh(stream)
        return min(most, self.policy.next_refresh(self.position + 1) - self.position)

    def advance(self, ids: Tensor) -> None:
        """Note that ids [tokens] were read."""
        sinks = self.policy.sinks
        self.ids = torch.cat((self.ids, ids))
        self.ids = torch.cat((self.ids[:sinks], self.ids[sinks:][-self.policy.lookback :]))
        self.position += len(ids)

    def append(self, layer: int, start: int, queries: Tensor, keys: Tensor, values: Tensor) -> None:
        """Keep a layer's queries, keys and values of tokens from `start` on (for shapes see the class).

        Sinks have no keys here.
        """
        if self.policy.query_window is None:
            return
        past_sinks = slice(max(0, self.policy.sinks - start), None)
        self.keys.append(layer, keys[:, past_sinks])
        self.values.append(layer, values[:, past_sinks])
        self.queries.append(layer, queries)

    def refresh(self, stream: ChunkStream) -> None:
        """Rewrite the recent keys and values that `stream` carries."""
        sinks = self.policy.sinks
        # Copies, since views would keep all that a layer has carried until now.
        self.sinks = {layer: keys[:, :sinks].clone() for layer, (keys, _) in stream.carried.items()}
        for layer, new in self.policy.select_resident(self).items():
            held = stream.carried[layer]
            stream.carried[layer] = tuple(
                torch.cat((old[:, :sinks], part), 1) for old, part in zip(held, new, strict=True)
            )

    def stack_layers(self) -> None:
        """Lay the heads of all layers side by side, as those of layer 0: one operation then serves all."""
        for histories in (self.keys, self.values, self.queries):
            histories.stack_layers()

    def attention(self, layer: int, pool: int = 1) -> Tensor:
        """Attention of the observed queries to each of the layer's kept tokens, float32 [kv_heads, tokens].

        The mean over the queries of a softmax over sinks and kept tokens up to the query's own, then a mean
        over `pool` (odd) neighbours (Li et al. 2024, SnapKV, section 4.1). Where query heads share a key
        head, the mean is over the queries of them all.
        """
        queries, keys, sinks = self.queries[layer], self.keys[layer], self.sinks[layer]
        scale, count = self.values[layer].shape[-1] ** -0.5, queries.shape[1]
        queries = grouped(queries, len(keys))
        scores = torch.cat((queries @ sinks.mT, queries @ keys.mT), -1) * scale
        later = torch.ones(count, scores.shape[2], dtype=torch.bool, device=scores.device)
        later = later.triu(scores.shape[2] - count + 1).repeat(scores.shape[1] // count, 1)
        weights = scores.masked_fill(later, float("-inf")).softmax(-1, dtype=at_least_float32(scores.dtype))
        mean = weights[:, :, sinks.shape[1] :].mean(1)
        return avg_pool1d(mean, pool, stride=1, padding=pool // 2, count_include_pad=False)

    def with_recent(self, layer: int, near: int, chosen: Tensor) -> Tensor:
        """Indices of the layer's last `near` kept tokens, then the `chosen` ones [kv_heads, k] in order."""
        tokens = self.keys[layer].shape[1]
        recent = torch.arange(tokens - near, tokens, device=chosen.device)
        return torch.cat((recent.expand(len(chosen), -1), chosen.sort(-1).values), -1)

    def gather(self, layer: int, index: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the layer's kept tokens `index` [kv_heads, tokens]."""
        held = self.keys[layer], self.values[layer]
        return tuple(part.gather(1, index[..., None].expand(-1, -1, part.shape[-1])) for part in held)

    def forward_again(self) -> dict[int, tuple[Tensor, Tensor]]:
        """By layer, keys and values of the last W tokens from a causal pass over `ids` and nothing else."""
        sinks, count = self.policy.sinks, len(self.ids)
        dense = Visibility(sinks, self.policy.lookback)
        stream = ChunkStream(self.model, dense, MaskedKernel(), skipped=self.position - count)
        stream.begin(count)
        forward_hidden(self.model, self.ids, stream, stream.kernel.prepare)
        recent = self.policy.budget - sinks
        return {layer: tuple(part[:, -recent:] for part in held) for layer, held in stream.carried.items()}

    def nbytes(self) -> int:
        """Bytes of the store: keys, values and queries kept for refreshes, with the room behind them."""
        return sum(histories.nbytes() for histories in (self.keys, self.values, self.queries))
