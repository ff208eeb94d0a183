"""Intervals, and when two numbers differ (docs/statistics.md).

NLLs of neighbouring tokens are correlated, so blocks of tokens are resampled (Künsch 1989). No block crosses
documents; blocks are drawn from all documents together. A bootstrap of few values is too narrow: few blocks
and few repetitions have intervals of Student's t, and the percentiles of more blocks are moved outwards
(Hesterberg 2015, "expanded percentile interval"). Sums of tokens come in pieces (positions.Positions.pieces).
"""

from statistics import NormalDist

import numpy as np
import pandas as pd

FEW = 20  # blocks or repetitions; from here on percentiles of a bootstrap cover as they should
LEAST_BLOCKS = 8  # of a document whose blocks tell anything of their correlation
DRAWN = 100  # resamples drawn at a time: of all of them, the draws of long texts would take gigabytes
MANY = 1_000  # degrees of freedom beyond which Student's t does not move any more
Interval = tuple[float, float | None, float | None]  # value, low, high


def difference(first: Interval, second: Interval) -> tuple[float, float, float]:
    """first - second of two independent numbers, and its interval.

    The distances from each value to the ends of its interval are added in quadrature, each number giving the
    end that faces the other (Zou and Donner 2008, "method of variance estimates recovery").

    Args:
        first, second: (value, low, high) in one unit, at one confidence; a number without an interval (None
            or NaN for its ends) is taken as exact.
    """
    (one, low, high), (other, least, most) = _with_ends(first), _with_ends(second)
    value = one - other
    return (value, value - np.hypot(one - low, most - other), value + np.hypot(high - one, other - least))


def differ(first: Interval, second: Interval) -> bool:
    """Whether two independent numbers differ: zero lies outside the interval of their difference.

    This is the rule for any two rows of measurements in one unit. Two perplexities over the same tokens are
    not independent: whether those differ is asked of their paired change, `differ(change, (0, None, None))`.
    """
    _, low, high = difference(first, second)
    return bool(low > 0 or high < 0)


def student(probability: float, degrees: int) -> float:
    """Quantile of Student's t; with t = sqrt(degrees) tan(a) the density of a is cos(a) ** (degrees - 1)."""
    degrees = min(degrees, MANY)
    angles = np.linspace(-np.pi / 2, np.pi / 2, 20_001)
    density = np.cos(angles) ** (degrees - 1)
    cumulative = np.append(0.0, np.cumsum(density[1:] + density[:-1]))
    return float(np.sqrt(degrees) * np.tan(np.interp(probability, cumulative / cumulative[-1], angles)))


def in_blocks(pieces: pd.DataFrame, block_tokens: int) -> pd.DataFrame:
    """Columns document, total and tokens of every block: `block_tokens` positions of one document."""
    block = (pieces["position"] // block_tokens).rename("block")
    sums = pieces.groupby([pieces["document"], block], sort=False, observed=True)[["total", "tokens"]].sum()
    return sums.reset_index("document")


def _with_ends(interval: Interval) -> Interval:
    """The interval with its value in place of ends that it lacks."""
    value = interval[0]
    return (value, *(value if pd.isna(end) else end for end in interval[1:]))


class Bootstrap:
    """Percentile intervals (Efron 1979) with the settings of the config's `statistics`."""

    def __init__(self, settings: dict):
        self.block_tokens, self.resamples = settings["block_tokens"], settings["resamples"]
        self.seed = settings["seed"]
        self.tail = (1 - settings["confidence"]) / 2

    def mean(self, frame: pd.DataFrame, column: str) -> Interval:
        """Mean of `column` over all rows, and its interval.

        Args:
            frame: with the columns document and position beside it.
        """
        return self.mean_of_pieces(frame.assign(total=frame[column].astype(float), tokens=1))

    def mean_of_pieces(self, pieces: pd.DataFrame, block_tokens: int | None = None) -> Interval:
        """Mean over all tokens of `pieces`, and its interval; a single block has none.

        Args:
            pieces: columns document, position (of the first token), total and tokens; none crosses blocks.
            block_tokens: positions of a block, instead of the setting.
        """
        blocks = in_blocks(pieces, block_tokens or self.block_tokens)
        sums, counts = blocks["total"].to_numpy(), blocks["tokens"].to_numpy()
        mean = sums.sum() / counts.sum()
        if len(sums) == 1:
            return (mean, np.nan, np.nan)
        means = self._resampled_means(sums, counts)
        reach = np.sqrt(len(sums) / (len(sums) - 1)) * student(1 - self.tail, len(sums) - 1)
        if len(sums) < FEW:
            return (mean, mean - reach * means.std(), mean + reach * means.std())
        outer = NormalDist().cdf(-reach)
        return (mean, *np.quantile(means, (outer, 1 - outer)))

    def autocorrelation(self, pieces: pd.DataFrame) -> Interval | None:
        """Lag-one autocorrelation between the means of neighbouring blocks, each document about its own mean.

        Its standard error is one over the root of the number of blocks (Bartlett 1946, of an uncorrelated
        series). Documents with fewer than LEAST_BLOCKS say nothing of it; None if there are no others.
        """
        products, squares, count = 0.0, 0.0, 0
        for _, blocks in in_blocks(pieces, self.block_tokens).groupby("document", sort=False):
            if len(blocks) >= LEAST_BLOCKS:
                means = (blocks["total"] / blocks["tokens"]).to_numpy()
                means = means - means.mean()
                products, squares = products + means[1:] @ means[:-1], squares + means @ means
                count += len(blocks)
        if not squares:
            return None
        value, reach = products / squares, NormalDist().inv_cdf(1 - self.tail) / np.sqrt(count)
        return (value, value - reach, value + reach)

    def median(self, values) -> tuple[float, float, float]:
        """Median of independent values, and its interval: of few positive ones Student's t of their logs."""
        point = float(np.median(values))
        if self._are_few(values):
            factor = np.exp(self._half_width(values))
            return (point, point / factor, point * factor)
        return (point, *np.quantile(self._medians(values, self._generator()), self._plain()))

    def ratio(self, numerators, denominators) -> tuple[float, float, float]:
        """Ratio of two medians of independent positive values, and its interval."""
        both = (numerators, denominators)
        point = float(np.median(numerators) / np.median(denominators))
        if any(map(self._are_few, both)):
            factor = np.exp(np.hypot(*map(self._half_width, both)))
            return (point, point / factor, point * factor)
        generator = self._generator()
        above, below = (self._medians(values, generator) for values in both)
        return (point, *np.quantile(above / below, self._plain()))

    def _plain(self) -> tuple[float, float]:
        return (self.tail, 1 - self.tail)

    def _are_few(self, values) -> bool:
        """Of fewer than FEW even a bootstrap's extremes say too little; zeros have no logs."""
        return 1 < len(values) < FEW and min(values) > 0

    def _half_width(self, values) -> float:
        """Of the interval of a median, on the log scale; of more than two it spreads more than the mean."""
        logs, count = np.log(np.asarray(values, dtype=float)), len(values)
        excess = 1.0 if count == 2 else np.sqrt(np.pi / 2)
        return excess * student(1 - self.tail, count - 1) * logs.std(ddof=1) / np.sqrt(count)

    def _resampled_means(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """One mean for each resample of blocks; how often a block is drawn is multinomial."""
        equal, generator = np.full(len(sums), 1 / len(sums)), self._generator()
        sizes = [len(part) for part in np.array_split(np.empty(self.resamples), -(-self.resamples // DRAWN))]
        draws = (generator.multinomial(len(sums), equal, size=size) for size in sizes)
        return np.concatenate([(drawn @ sums) / (drawn @ counts) for drawn in draws])

    def _medians(self, values, generator: np.random.Generator) -> np.ndarray:
        """The median of each resample of `values`."""
        values = np.asarray(values, dtype=float)
        picks = generator.integers(len(values), size=(self.resamples, len(values)))
        return np.median(values[picks], axis=1)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)
