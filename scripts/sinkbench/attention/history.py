"""The last tokens of a growing stream, such as the keys that refreshes look back on."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

HEADROOM = 4  # a new buffer has room for one token more in every so many that it begins with


class History:
    """The last `most` tokens [heads, tokens, dim] of what was appended.

    The tokens lie in a longer buffer. Appending writes behind them, and a full buffer is copied to a new one.
    So an append costs amortised O(1); a buffer of fewer than HEADROOM tokens is copied at every append.
    """

    def __init__(self, most: int):
        self.most, self.begin, self.end = most, 0, 0
        self.buffer: Tensor | None = None

    def append(self, new: Tensor) -> Tensor:
        """Append `new` [heads, tokens, dim]; returns a view of the last `most` tokens."""
        new = _last(new, self.most)
        if self.buffer is None:
            self._move(new[:, :0], new.shape[1])
        elif self.end + new.shape[1] > self.buffer.shape[1]:
            self._move(_last(self.tokens, self.most - new.shape[1]), new.shape[1])
        begin, self.end = self.end, self.end + new.shape[1]
        self.buffer[:, begin : self.end] = new
        self.begin = max(0, self.end - self.most)
        return self.tokens

    @property
    def tokens(self) -> Tensor:
        """A view of what is held [heads, tokens, dim]."""
        return self.buffer[:, self.begin : self.end]

    def nbytes(self) -> int:
        """Bytes of the buffer."""
        return 0 if self.buffer is None else self.buffer.nbytes

    def _move(self, kept: Tensor, more: int) -> None:
        """A new buffer that begins with the tokens `kept`, for `more` and some others."""
        tokens = kept.shape[1] + more
        self.buffer = kept.new_empty(kept.shape[0], tokens + tokens // HEADROOM, kept.shape[2])
        self.begin, self.end = 0, kept.shape[1]
        self.buffer[:, : self.end] = kept


class LayerHistories(Mapping):
    """A history for each layer, by its number; each reads as the tokens held [heads, tokens, dim]."""

    def __init__(self, most: int):
        self.most = most
        self._histories: dict[int, History] = {}

    def append(self, layer: int, new: Tensor) -> None:
        """Append a layer's `new` [heads, tokens, dim]; all layers must be given equally many."""
        self._histories.setdefault(layer, History(self.most)).append(new)

    def stack_layers(self) -> None:
        """Lay the heads of all layers side by side, as layer 0's heads: one operation then serves all."""
        if self._histories:
            histories = [self._histories.pop(layer) for layer in sorted(self._histories)]
            stacked = self._histories[0] = History(self.most)
            stacked.begin, stacked.end = histories[0].begin, histories[0].end
            stacked.buffer = torch.cat([history.buffer for history in histories])

    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return sum(history.nbytes() for history in self._histories.values())

    def __getitem__(self, layer: int) -> Tensor:
        return self._histories[layer].tokens

    def __iter__(self) -> Iterator[int]:
        return iter(self._histories)

    def __len__(self) -> int:
        return len(self._histories)


def _last(x: Tensor, count: int) -> Tensor:
    """The last `count` tokens of [heads, tokens, dim], or all if there are fewer; none for 0."""
    return x[:, max(0, x.shape[1] - count) :]
