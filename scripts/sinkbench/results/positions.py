"""The positions of a corpus, of which every method scores some: an index that all methods share.

A method's NLLs are one float32 for each position, NaN where it scores none. Means are made from the sums of
short pieces, so that no interval handles single tokens: ten million tokens are some ten thousand pieces.
"""

from collections.abc import Iterable
from math import gcd

import numpy as np
import pandas as pd

from sinkbench.artifacts.parquet import read_table

DOCUMENT, POSITION = "document", "position"


class Positions:
    """Every position of every document up to the last that some method scores.

    Args:
        paths: of the NLLs of all methods (measure.quality).
        steps: numbers of tokens; no piece crosses a multiple of any of them.
    """

    def __init__(self, paths: Iterable[str], steps: Iterable[int]):
        lengths: dict[str, int] = {}
        for path in paths:
            frame, _ = read_table(path, [DOCUMENT, POSITION], [DOCUMENT])
            ends = frame.groupby(DOCUMENT, sort=False, observed=True)[POSITION].max() + 1
            lengths |= {name: max(end, lengths.get(name, 0)) for name, end in ends.items()}
        self.names, self._lengths = list(lengths), np.array(list(lengths.values()), dtype=np.int64)
        self._starts = np.append(0, np.cumsum(self._lengths))
        self._piece_tokens = gcd(*steps)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def nll(self, path: str) -> np.ndarray:
        """float32 [positions]: a method's NLLs in nats, NaN where it scores none."""
        frame, _ = read_table(path, categories=[DOCUMENT])
        documents = frame[DOCUMENT].cat
        starts = self._starts[[self.names.index(name) for name in documents.categories]]
        placed = np.full(len(self), np.nan, dtype=np.float32)
        placed[starts[documents.codes] + frame[POSITION]] = frame["nll"]
        return placed

    def pieces(self, values: np.ndarray) -> pd.DataFrame:
        """Columns document, position (of the first token), total and tokens of every piece with a value.

        Args:
            values: [positions], NaN where there is none.
        """
        pieces = -(-self._lengths // self._piece_tokens)
        documents = np.repeat(np.arange(len(pieces)), pieces)
        within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        starts = self._starts[documents] + within * self._piece_tokens
        there = np.isfinite(values)
        total = np.add.reduceat(np.where(there, values, 0).astype(float), starts)
        tokens = np.add.reduceat(there, starts, dtype=np.int64)
        names = pd.Categorical.from_codes(documents, self.names)
        columns = {"document": names, "position": within * self._piece_tokens, "total": total}
        return pd.DataFrame(columns | {"tokens": tokens})[tokens > 0]

    def position(self) -> np.ndarray:
        """int64 [positions]: where in its document each position lies."""
        return np.arange(len(self)) - np.repeat(self._starts[:-1], self._lengths)
