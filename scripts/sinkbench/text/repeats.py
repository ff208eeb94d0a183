"""Texts in which a passage occurs twice, so many tokens apart, and their controls, in which it occurs once.

    repeated    [ context | passage | filler | passage ]      the second begins `distance` after the first
    control     [ context | another | filler | passage ]

A passage has P tokens, and the context is the first P tokens of a document. Passage, another one of P tokens,
and the filler follow each other somewhere behind it. So all is real text of one document, and a cache holds
the same sinks in both texts. They have the same seams but for one: `another` runs on into the filler. What a
model saves on the last P tokens of `repeated` it owes to the first passage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np


def text_tokens(distance: int, passage_tokens: int) -> int:
    """Tokens of a text: of the context, up to the second passage, and of that."""
    return context_tokens(passage_tokens) + distance + passage_tokens


def context_tokens(passage_tokens: int) -> int:
    """Tokens in front of the first passage, as many as a passage has."""
    return passage_tokens


def scored_positions(distance: int, passage_tokens: int) -> range:
    """Indices of a text whose next tokens are those of the second passage."""
    end = text_tokens(distance, passage_tokens) - 1
    return range(end - passage_tokens, end)


def is_scored(policy, distance: int, passage_tokens: int) -> bool:
    """Whether a policy (see policies) scores every token of the second passage."""
    positions = policy.positions(text_tokens(distance, passage_tokens))
    return set(scored_positions(distance, passage_tokens)) <= set(positions)


@dataclass(frozen=True)
class Passage:
    """A passage of a document.

    Args:
        document: its name.
        ids: of the whole document, int64 [tokens].
        start: where the passage begins in it.
        tokens: of the passage.
    """

    document: str
    ids: np.ndarray
    start: int
    tokens: int

    def texts(self, distance: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids of `repeated` and `control`, int64 [text_tokens] each; `distance` is at least the tokens."""
        context = self.ids[: context_tokens(self.tokens)]
        passage, other = (self._after(count * self.tokens, self.tokens) for count in range(2))
        filler = self._after(2 * self.tokens, distance - self.tokens)
        return tuple(np.concatenate((context, first, filler, passage)) for first in (passage, other))

    def _after(self, skipped: int, tokens: int) -> np.ndarray:
        return self.ids[self.start + skipped :][:tokens]


def draw(
    documents: dict[str, np.ndarray], distance: int, passage_tokens: int, passages: int, seed: int
) -> list[Passage]:
    """Passages for texts of `distance` and of every shorter one; fewer than asked where documents are short.

    The documents that hold such a text (`text_tokens`) take turns. Within one, passages are evenly spaced
    from a random start on (systematic sampling), at least a passage apart, so that none overlap.

    Args:
        documents: ids [tokens] by name.
        seed: of the draw, which depends on nothing else but the documents' names and lengths.
    """
    needed = text_tokens(distance, passage_tokens)
    rooms = {name: len(ids) - needed + 1 for name, ids in documents.items() if len(ids) >= needed}
    counts = _shares({name: max(1, room // passage_tokens) for name, room in rooms.items()}, passages)
    first, found = context_tokens(passage_tokens), []
    for name, count in counts.items():
        shift = Random(f"{seed}-{name}-{rooms[name]}").random()
        starts = (first + int((index + shift) * rooms[name] / count) for index in range(count))
        found += [Passage(name, documents[name], start, passage_tokens) for start in starts]
    return found


def _shares(most: dict[str, int], wanted: int) -> dict[str, int]:
    """How many each takes of `wanted`, in turn, up to its own most."""
    counts = dict.fromkeys(most, 0)
    for name in _turns(most):
        if sum(counts.values()) == wanted:
            break
        counts[name] += 1
    return {name: count for name, count in counts.items() if count}


def _turns(most: dict[str, int]) -> Iterator[str]:
    """Names in turn, each as often as it may."""
    for turn in range(max(most.values(), default=0)):
        yield from (name for name, count in most.items() if turn < count)
