"""Intervals: right for means, honest about correlation, and covering at the rate that they state."""

import numpy as np
import pandas as pd
import pytest
from sinkbench.statistics import Bootstrap, differ, difference

SETTINGS = {"block_tokens": 32, "resamples": 400, "confidence": 0.9, "seed": 0}


def frame_of(values: np.ndarray, documents: int = 1) -> pd.DataFrame:
    per_document = len(values) // documents
    index = np.arange(len(values))
    names = [f"d{number}" for number in index // per_document]
    return pd.DataFrame({"document": names, "position": index % per_document, "nll": values})


def correlated(generator: np.random.Generator, length: int, memory: float) -> np.ndarray:
    """An autoregressive series of mean 0."""
    noise, series = generator.standard_normal(length), np.zeros(length)
    for t in range(1, length):
        series[t] = memory * series[t - 1] + noise[t]
    return series


def test_the_mean_is_the_mean_and_lies_inside():
    values = np.random.default_rng(1).standard_normal(1000)
    mean, low, high = Bootstrap(SETTINGS).mean(frame_of(values, documents=3), "nll")
    assert mean == pytest.approx(values[:1000].mean())
    assert low < mean < high


def test_the_same_seed_gives_the_same_interval():
    frame = frame_of(np.random.default_rng(1).standard_normal(500))
    assert Bootstrap(SETTINGS).mean(frame, "nll") == Bootstrap(SETTINGS).mean(frame, "nll")


def test_blocks_widen_the_interval_of_correlated_tokens():
    frame = frame_of(correlated(np.random.default_rng(2), 4000, 0.9))
    widths = []
    for block_tokens in (1, 64):
        _, low, high = Bootstrap(SETTINGS | {"block_tokens": block_tokens}).mean(frame, "nll")
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_coverage_is_close_to_what_is_stated():
    """90 % intervals over correlated series hold the true mean in 82-96 % of 200 simulations."""
    generator, bootstrap = np.random.default_rng(3), Bootstrap(SETTINGS | {"resamples": 200})
    intervals = [bootstrap.mean(frame_of(correlated(generator, 2000, 0.6)), "nll") for _ in range(200)]
    covered = np.mean([low <= 0 <= high for _, low, high in intervals])
    assert 0.82 <= covered <= 0.96


def test_ratio_of_medians():
    point, low, high = Bootstrap(SETTINGS).ratio([10.0, 11.0, 12.0], [5.0, 5.5, 6.0])
    assert point == 2.0
    assert 10 / 6 <= low <= 2.0 <= high <= 12 / 5


def test_two_numbers_differ_before_their_intervals_part():
    """Intervals of equal width that overlap by less than 2 - sqrt(2) of a half belong to different ones."""
    assert not differ((0.0, -1.0, 1.0), (1.41, 0.41, 2.41))
    assert differ((0.0, -1.0, 1.0), (1.42, 0.42, 2.42))
    assert differ((1.42, 0.42, 2.42), (0.0, -1.0, 1.0))


def test_only_the_ends_that_face_each_other_count():
    assert differ((0.0, -100.0, 0.1), (1.0, 0.9, 100.0))
    assert not differ((0.0, -0.1, 100.0), (1.0, 0.9, 1.1))


def test_a_number_without_an_interval_is_exact():
    assert not differ((1.0, None, float("nan")), (1.0, None, None))
    assert differ((1.0, None, None), (1.0 + 1e-9, None, None))
    assert difference((3.0, 2.0, 5.0), (1.0, None, None)) == (2.0, 1.0, 4.0)
