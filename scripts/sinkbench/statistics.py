"""Intervals, and when two numbers differ (docs/statistics.md).

NLLs of neighbouring tokens are correlated, so blocks of tokens are resampled (Künsch 1989). No block crosses
documents; blocks are drawn from all documents together.
"""

import numpy as np
import pandas as pd

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


def _with_ends(interval: Interval) -> Interval:
    """The interval with its value in place of ends that it lacks."""
    value = interval[0]
    return (value, *(value if pd.isna(end) else end for end in interval[1:]))


class Bootstrap:
    """Percentile intervals (Efron 1979) with the settings of the config's `statistics`."""

    def __init__(self, settings: dict):
        self.block_tokens, self.resamples = settings["block_tokens"], settings["resamples"]
        self.seed = settings["seed"]
        tail = (1 - settings["confidence"]) / 2
        self.quantiles = (tail, 1 - tail)

    def mean(self, frame: pd.DataFrame, column: str) -> tuple[float, float, float]:
        """Mean of `column` over all rows, and its interval.

        Args:
            frame: with the columns document and position beside it. A block is a run of `block_tokens`
                positions of one document.
        """
        block = frame["position"] // self.block_tokens
        groups = frame[column].astype(float).groupby([frame["document"], block], sort=False)
        sums, counts = groups.sum().to_numpy(), groups.size().to_numpy()
        means = self._resampled_means(sums, counts)
        return (sums.sum() / counts.sum(), *np.quantile(means, self.quantiles))

    def median(self, values) -> tuple[float, float, float]:
        """Median of independent values, and its interval."""
        medians = self._medians(values, self._generator())
        return (float(np.median(values)), *np.quantile(medians, self.quantiles))

    def ratio(self, numerators, denominators) -> tuple[float, float, float]:
        """Ratio of two medians of independent values, and its interval."""
        generator = self._generator()
        above, below = (self._medians(values, generator) for values in (numerators, denominators))
        point = np.median(numerators) / np.median(denominators)
        return (float(point), *np.quantile(above / below, self.quantiles))

    def _resampled_means(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """One mean for each resample of blocks; how often a block is drawn is multinomial."""
        equal = np.full(len(sums), 1 / len(sums))
        draws = self._generator().multinomial(len(sums), equal, size=self.resamples)
        return (draws @ sums) / (draws @ counts)

    def _medians(self, values, generator: np.random.Generator) -> np.ndarray:
        """The median of each resample of `values`."""
        values = np.asarray(values, dtype=float)
        picks = generator.integers(len(values), size=(self.resamples, len(values)))
        return np.median(values[picks], axis=1)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)
