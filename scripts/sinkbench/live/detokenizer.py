"""Ids into text as they come, without a piece of a character and in constant memory.

The `DecodeStream` of the library `tokenizers` keeps bytes that never become a character, and shows nothing
from then on: sampled text has such bytes.
"""

from collections.abc import Iterable, Iterator

UNFINISHED = "\ufffd"  # what a decoder gives for bytes that are no character, or not yet one
LONGEST = 8  # ids that a character may wait for; bytes that never become one are shown then
CONTEXT = 4  # ids that are decoded again, since a decoder may drop a space from the first one


class Detokenizer:
    """The text of ids, given one by one. The pieces together are the text of all ids.

    Args:
        tokenizer: of the library `tokenizers`.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.context: list[int] = []
        self.waiting: list[int] = []

    def add(self, token: int) -> str:
        """Text that this id ends; nothing while a character lacks bytes."""
        self.waiting.append(token)
        piece = self._piece()
        if piece.endswith(UNFINISHED) and len(self.waiting) < LONGEST:
            return ""
        self.context, self.waiting = (self.context + self.waiting)[-CONTEXT:], []
        return piece

    def end(self) -> str:
        """What waits still."""
        return self._piece() if self.waiting else ""

    def pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text of ids, piece by piece."""
        yield from map(self.add, tokens)
        yield self.end()

    def _piece(self) -> str:
        before = self._text(self.context)
        return self._text(self.context + self.waiting)[len(before) :]

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)
