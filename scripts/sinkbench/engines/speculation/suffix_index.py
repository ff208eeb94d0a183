"""Where the end of a text occurred before: prompt lookup (Saxena 2023; LLMA: Yang et al. 2023)."""

LENGTHS = (12, 8, 6, 4, 3, 2)  # of n-grams that are looked for, the longest first
REMEMBERED = 1 << 16  # tokens


class SuffixIndex:
    """The last tokens of a text, and the latest place behind every n-gram of theirs.

    A token costs one entry for each of the lengths, and a search at most as many lookups, however long the
    text is. Memory is bounded: with the tokens that are forgotten their entries go.

    Args:
        lengths: of n-grams, the longest first.
        remembered: tokens.
    """

    def __init__(self, lengths: tuple[int, ...] = LENGTHS, remembered: int = REMEMBERED):
        self.lengths, self.remembered = lengths, remembered
        self.tokens: dict[int, int] = {}  # of the last `remembered` + longest n-gram, by index
        self.behind: list[dict[tuple[int, ...], int]] = [{} for _ in lengths]
        self.count = 0

    def extend(self, ids: list[int]) -> None:
        """Read further ids."""
        for token in ids:
            for length, places in zip(self.lengths, self.behind, strict=True):
                if self.count >= length:
                    places[self._before(self.count, length)] = self.count
            self.tokens[self.count] = token
            self.count += 1
            self._forget(self.count - 1 - self.remembered)

    def following(self, count: int) -> list[int]:
        """The `count` ids behind the latest earlier occurrence of the longest n-gram that ends the text.

        Where the text ends before, it goes on with what was found: a text that repeats itself. None are
        found of an n-gram that did not occur, or only in what is forgotten.
        """
        for length, places in zip(self.lengths, self.behind, strict=True):
            if self.count >= length and self._before(self.count, length) in places:
                start = places[self._before(self.count, length)]
                period = self.count - start
                return [self.tokens[start + index % period] for index in range(count)]
        return []

    def _before(self, index: int, length: int) -> tuple[int, ...]:
        return tuple(self.tokens[place] for place in range(index - length, index))

    def _forget(self, index: int) -> None:
        """Forget that anything was followed by the token at `index`."""
        if index < 0:
            return
        for length, places in zip(self.lengths, self.behind, strict=True):
            if index >= length and places.get(key := self._before(index, length)) == index:
                del places[key]
        self.tokens.pop(index - self.lengths[0], None)
