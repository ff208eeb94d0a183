"""Cache policies as their definitions read: token by token, head by head, with every key ever made at hand.

Nothing is shared with the evaluator and the engines but the model's own layers and the rotation of a key.
"""

import torch
from sinkbench.model.families import family_of, parts_of, shape_of
from sinkbench.model.nll import logits
from sinkbench.model.rope import Rotary, rotate_head


class NaiveCache:
    """What every head of every layer holds beside the sinks: indices of tokens, first to leave first."""

    def __init__(self, model, sinks: int, most: float):
        self.model, self.sinks, self.most, self.rotary = model, sinks, most, Rotary(model)
        self.parts, self.family, self.shape = parts_of(model), family_of(model), shape_of(model)
        self.made = [[] for _ in self.parts.layers]  # unrotated [query, key, value] of every token
        self.held = [[[] for _ in range(self.shape.kv_heads)] for _ in self.made]
        self.stood = []  # each token's position inside the cache: the number of keys before it

    def read(self, token: torch.Tensor) -> torch.Tensor:
        """Logits after one token."""
        now = len(self.stood)
        self.stood.append(min(self.sinks, now) + len(self.held[0][0]))
        hidden = self.parts.embedding(token[None])
        for index, layer in enumerate(self.parts.layers):
            self.made[index].append([part[:, 0] for part in self.family.project(layer, hidden)])
            attended = [self._attend(index, head, now) for head in range(self.shape.heads)]
            hidden = self.family.combine(layer, hidden, torch.stack(attended)[:, None])
        for held in (held for layer in self.held for held in layer if now >= self.sinks):
            held.append(now)
            if len(held) > self.most:
                del held[0]
        return logits(self.model, self.parts.norm(hidden))[0]

    def weights(self, index: int, head: int, asker: int, others: list[int]) -> torch.Tensor:
        """Softmax weights of query head `head` of token `asker` over `others`.

        A sink is met from the place inside the cache.
        """
        scores = []
        for other in others:
            query = self._turned(index, 0, asker, asker if other >= self.sinks else self.stood[asker])[head]
            scores.append(query @ self._turned(index, 1, other, other)[head // self.shape.group])
        return (torch.stack(scores) * query.shape[-1] ** -0.5).softmax(0)

    def _turned(self, index: int, what: int, token: int, position: int) -> torch.Tensor:
        table = self.rotary.at(torch.tensor([position]))
        return rotate_head(self.made[index][token][what][:, None], table)[:, 0]

    def _attend(self, index: int, head: int, now: int) -> torch.Tensor:
        key_head = head // self.shape.group
        seen = [*range(min(self.sinks, now)), *self.held[index][key_head], now]
        values = torch.stack([self.made[index][j][2][key_head] for j in seen])
        return self.weights(index, head, now, seen) @ values


def naive_nll(model, ids: torch.Tensor, policy) -> torch.Tensor:
    """NLLs of tokens 1 .. T-1 under a refreshed or lazily pruned cache."""
    recent = policy.budget - policy.sinks
    cache = NaiveCache(model, policy.sinks, float("inf") if policy.cache == "pruned" else recent)
    losses, work = [], {"lazy": prune, "reprefill": prefill_again, "select": select, "repeat_lookup": copy}
    for t in range(len(ids) - 1):
        if t % policy.period == 0 and t > policy.budget:
            work[type(policy).__module__.split(".")[-1]](cache, policy, ids, t)
        losses.append(-cache.read(ids[t]).log_softmax(-1)[ids[t + 1]])
    return torch.stack(losses)


def prune(cache: NaiveCache, policy, ids, t: int) -> None:
    for held in (held for layer in cache.held for held in layer):
        del held[: len(held) - (policy.budget - policy.sinks)]


def prefill_again(cache: NaiveCache, policy, ids, t: int) -> None:
    first = max(policy.sinks, t - policy.lookback)
    fresh = NaiveCache(cache.model, policy.sinks, float("inf"))
    for token in torch.cat((ids[: policy.sinks], ids[first:t])):
        fresh.read(token)
    for back in range(1, policy.budget - policy.sinks + 1):
        for old, new in zip(cache.made, fresh.made, strict=True):
            old[t - back][1:] = new[-back][1:]
    for held in (held for layer in cache.held for held in layer):
        held[:] = range(t - (policy.budget - policy.sinks), t)


def select(cache: NaiveCache, policy, ids, t: int) -> None:
    near = policy.budget - policy.sinks - policy.selected_tokens
    store = list(range(max(policy.sinks, t - policy.lookback), t))
    for index, layer in enumerate(cache.held):
        scores = [
            _pooled(_attention(cache, policy, index, head, store, t), policy) for head in range(len(layer))
        ]
        if policy.shared:
            scores = [torch.stack(scores).mean(0)] * len(layer)
        for held, score in zip(layer, scores, strict=True):
            best = score[: len(store) - near].argsort(descending=True)[: policy.selected_tokens]
            held[:] = [*store[len(store) - near :], *sorted(store[i] for i in best)]


def copy(cache: NaiveCache, policy, ids, t: int) -> None:
    near = policy.budget - policy.sinks - policy.selected_tokens
    store, text = list(range(max(policy.sinks, t - policy.lookback), t)), ids.tolist()
    worth = dict.fromkeys(store, 0)
    for end, back in (
        (end, back) for end in store for back in range(policy.match_ends) if end < t - 1 - back
    ):
        length = 0
        while length < 6 and end - length >= store[0] and text[end - length] == text[t - 1 - back - length]:
            length += 1
        for after in range(end + 1, min(t, end + 1 + policy.copied_span)):
            worth[after] = max(worth[after], length if length >= policy.min_match else 0)
    best = sorted(store[: len(store) - near], key=lambda j: (worth[j], j))[-policy.selected_tokens :]
    for held in (held for layer in cache.held for held in layer):
        held[:] = [*store[len(store) - near :], *sorted(best)]


def _attention(cache: NaiveCache, policy, index: int, head: int, store: list[int], t: int) -> torch.Tensor:
    """Of a key head: the mean over the last queries of all query heads that share it."""
    group, total = cache.shape.group, torch.zeros(len(store), dtype=torch.float64)
    for asker in range(t - policy.query_window, t):
        before = [j for j in store if j <= asker]
        seen = [*range(policy.sinks), *before]
        for asking in range(head * group, (head + 1) * group):
            total[: len(before)] += cache.weights(index, asking, asker, seen)[policy.sinks :]
    return total / policy.query_window / group


def _pooled(score: torch.Tensor, policy) -> torch.Tensor:
    half = policy.pool_kernel // 2
    return torch.stack([score[max(0, i - half) : i + half + 1].mean() for i in range(len(score))])
