"""Intervals: block bootstrap of means over tokens, plain bootstrap of medians over repetitions.

NLLs of neighbouring tokens are correlated, so blocks of tokens are resampled (Künsch 1989). No block crosses
documents; blocks are drawn from all documents together.
"""

import numpy as np
import pandas as pd


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
