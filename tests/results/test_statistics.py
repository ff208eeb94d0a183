"""Intervals: right for means, honest about correlation, and covering at the rate that they state."""

import numpy as np
import pandas as pd
import pytest
from sinkbench.results.statistics import Bootstrap, differ, difference, student

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


STATED = SETTINGS | {"confidence": 0.95, "resamples": 500}
SIMULATIONS = 600  # with a standard error of 0.9 % at 95 %


def coverage(intervals, truth: float) -> float:
    return np.mean([low <= truth <= high for _, low, high in intervals])


def test_students_quantiles():
    """Of a table: 97.5 % at 1, 2, 4, 9 and 30 degrees of freedom."""
    found = [student(0.975, degrees) for degrees in (1, 2, 4, 9, 30)]
    assert found == pytest.approx([12.706, 4.303, 2.776, 2.262, 2.042], abs=1e-3)


@pytest.mark.parametrize("blocks", [2, 3, 5, 10, 20, 60])
def test_block_intervals_of_correlated_tokens_cover_as_stated(blocks):
    generator, bootstrap = np.random.default_rng(blocks), Bootstrap(STATED)
    series = (correlated(generator, 32 * blocks + 50, 0.5)[50:] for _ in range(SIMULATIONS))
    covered = coverage((bootstrap.mean(frame_of(values), "nll") for values in series), 0)
    assert 0.915 <= covered <= 0.98


STEP = 64  # tokens of a piece below: the shortest stretch that a block of real NLLs is simulated from
REAL = STATED | {"block_tokens": 2048}


def real_nlls(generator: np.random.Generator, blocks: int) -> list[pd.DataFrame]:
    """Series of `blocks` blocks of 2,048 tokens, correlated as source code is: over hundreds of tokens.

    Between blocks of 256 tokens the lag-one autocorrelation is 0.45, as of the standard library's modules.
    """
    series = generator.standard_normal((SIMULATIONS // 2, 2048 // STEP * blocks + 20))
    for t in range(1, series.shape[1]):
        series[:, t] = 0.73 * series[:, t - 1] + np.sqrt(1 - 0.73**2) * series[:, t]
    about = {"document": "d", "position": STEP * np.arange(series.shape[1] - 20), "tokens": STEP}
    return [pd.DataFrame({**about, "total": STEP * values[20:]}) for values in series]


@pytest.mark.parametrize("blocks", [2, 3, 5, 8, 20])
def test_blocks_of_2048_tokens_cover_for_nlls_as_correlated_as_real_ones(blocks):
    """Of short documents, too: few blocks have an interval of Student's t."""
    bootstrap, series = Bootstrap(REAL), real_nlls(np.random.default_rng(blocks), blocks)
    assert 0.88 <= coverage(map(bootstrap.mean_of_pieces, series), 0) <= 0.985


def test_blocks_of_256_tokens_are_too_short_and_their_correlation_says_so():
    short, long = Bootstrap(REAL | {"block_tokens": 256}), Bootstrap(REAL)
    series = real_nlls(np.random.default_rng(0), 20)[:150]
    assert coverage(map(short.mean_of_pieces, series), 0) < 0.85
    correlation = {
        name: np.mean([each.autocorrelation(one)[0] for one in series])
        for name, each in (("short", short), ("long", long))
    }
    assert 0.4 < correlation["short"] < 0.5 and abs(correlation["long"]) < 0.1


def test_a_correlation_needs_blocks_and_has_an_interval_of_their_number():
    bootstrap = Bootstrap(SETTINGS | {"block_tokens": 1, "confidence": 0.95})
    pieces = frame_of(np.tile([1.0, -1.0], 50)).rename(columns={"nll": "total"}).assign(tokens=1)
    value, _, high = bootstrap.autocorrelation(pieces)
    assert value == pytest.approx(-0.99) and high - value == pytest.approx(0.196, abs=1e-3)
    assert bootstrap.autocorrelation(pieces.head(7)) is None
    apart = pd.concat([pieces, pieces.assign(document="e", total=pieces["total"] + 9)])
    assert bootstrap.autocorrelation(apart)[0] == pytest.approx(value)  # each about its own mean


def test_changes_of_perplexity_cover_as_stated():
    """100 expm1 of a mean paired difference, over two documents with a short last block."""
    generator, bootstrap = np.random.default_rng(4), Bootstrap(STATED)
    series = (0.05 + 0.2 * correlated(generator, 2 * 500, 0.4) for _ in range(SIMULATIONS))
    means = (bootstrap.mean(frame_of(values, documents=2), "nll") for values in series)
    covered = coverage((100 * np.expm1(np.array(interval)) for interval in means), 100 * np.expm1(0.05))
    assert 0.92 <= covered <= 0.975


@pytest.mark.parametrize("repetitions", [2, 3, 5, 10, 20, 40])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_repetition_intervals_cover_as_stated(repetitions, shape):
    """Of times with a median of 10 ms; skewed ones have a long tail of slow repetitions."""
    generator, bootstrap = np.random.default_rng(repetitions), Bootstrap(STATED)
    intervals = [bootstrap.median(times(generator, repetitions, shape)) for _ in range(SIMULATIONS)]
    assert 0.915 <= coverage(intervals, 10.0) <= 0.99


@pytest.mark.parametrize("repetitions", [3, 5, 20])
def test_ratios_of_times_cover_at_least_as_stated(repetitions):
    """Few repetitions may cover more: the degrees of freedom of both sides are not pooled."""
    generator, bootstrap = np.random.default_rng(repetitions), Bootstrap(STATED)
    pairs = (
        [times(generator, repetitions, shape) for shape in ("skewed", "normal")] for _ in range(SIMULATIONS)
    )
    assert 0.925 <= coverage((bootstrap.ratio(*pair) for pair in pairs), 1.0) <= 0.995


@pytest.mark.parametrize("repetitions", [3, 5, 20])
def test_equal_times_seldom_differ_and_unequal_ones_do(repetitions):
    generator, bootstrap = np.random.default_rng(9), Bootstrap(STATED)

    def share_that_differs(factor: float) -> float:
        pairs = ([times(generator, repetitions, "normal") for _ in range(2)] for _ in range(200))
        found = [differ(bootstrap.median(one), bootstrap.median(factor * other)) for one, other in pairs]
        return np.mean(found)

    assert share_that_differs(1.0) <= 0.075
    assert share_that_differs(1.5) >= 0.95


def times(generator: np.random.Generator, count: int, shape: str) -> np.ndarray:
    """Times in ms with a median of 10."""
    if shape == "normal":
        return generator.normal(10, 0.3, count)
    return 10 + generator.exponential(0.3, count) - 0.3 * np.log(2)


def test_a_single_block_has_no_interval():
    mean, *ends = Bootstrap(SETTINGS).mean(frame_of(np.arange(32.0)), "nll")
    assert mean == 15.5 and np.isnan(ends).tolist() == [True, True]


def test_intervals_of_few_times_are_positive():
    point, low, _ = Bootstrap(STATED).median([1.0, 9.0])
    assert 0 < low < point


def test_ratio_of_medians():
    point, low, high = Bootstrap(SETTINGS).ratio([10.0, 11.0, 12.0], [5.0, 5.5, 6.0])
    assert point == 2.0
    assert low < 2.0 < high


def test_two_numbers_differ_before_their_intervals_part():
    """With equal half-widths h, values that lie sqrt(2) h apart differ."""
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
