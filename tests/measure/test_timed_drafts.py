"""Rounds with drafts are counted as they were, from several places of real text, and loops are told."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sinkbench.artifacts.parquet import read_table
from sinkbench.engines.speculation.speculator import Round
from sinkbench.measure import speculation
from sinkbench.measure.places import has_looped, spread
from speed_jobs import SETTINGS, write_tokens

LOOKUP = {"drafts": "lookup", "draft_tokens": 3, "temperature": 0, "seed": 0}


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=6), count=st.integers(1, 20))
def test_places_lie_in_all_documents_as_evenly_as_can_be(lengths, count):
    places, begins = spread(lengths, count), np.cumsum([0, *lengths])[:-1]
    assert len(places) == count and (places[: len(begins)] == begins[:count]).all()
    document = np.searchsorted(begins, places, side="right") - 1
    counts = np.bincount(document, minlength=len(lengths))
    assert counts.max() - counts.min() <= 1
    for number, length in enumerate(lengths):
        within = np.sort(places[document == number])
        assert (np.diff(within) >= length // -(-count // len(lengths))).all()


def test_one_document_is_continued_from_places_of_its_own():
    assert spread([90], 3).tolist() == [0, 30, 60]
    assert spread([90, 40], 3).tolist() == [0, 90, 45]


@given(period=st.integers(1, 60), start=st.lists(st.integers(0, 999), max_size=30))
def test_a_text_has_looped_if_its_end_repeats_within_32_tokens(period, start):
    repeated = np.resize(np.arange(period), 64).tolist()
    assert has_looped([*start, *repeated]) == (period <= 32)
    assert not has_looped([*start, *repeated[:-1], 1000])


def test_of_a_short_text_nothing_is_said():
    assert has_looped([7] * 63) is None and has_looped([7] * 64)


class Scripted:
    """Gives these rounds, each in the memory of the one before, as captured rounds do."""

    def __init__(self, *rounds: tuple[list[int], int]):
        self.rounds, self.room = iter(rounds), None

    def prefill(self, prompt, rounds):
        self.room = rounds

    def round(self):
        tokens, accepted = next(self.rounds)
        self.accepted = getattr(self, "accepted", torch.zeros(1, dtype=torch.int64)).fill_(accepted)
        return Round(torch.tensor(tokens), self.accepted)


def test_only_judged_drafts_are_counted():
    """Warm-up; a rejected draft of two; none found; all kept."""
    engine = Scripted(([1, 2, 3], 2), ([4, 5, 6], 0), ([7], 0), ([8, 9, 10], 2))
    timing = speculation.time_rounds(engine, torch.zeros(1, 5, dtype=torch.long), warmup=1, steps=3)
    assert timing.tokens == [1, 1, 3] and timing.judged == [1, 0, 2]
    assert engine.room == 4 and timing.looped is None
    assert sum(timing.steps_ms) == pytest.approx(5 * timing.tpot_ms)


def test_a_text_is_a_loop_by_the_tokens_that_stayed():
    """The rejected drafts, which differ every time, are no part of it."""
    rounds = [([1, 2, 100 + number], 1) for number in range(40)]
    timing = speculation.time_rounds(Scripted(*rounds), torch.zeros(1, 5, dtype=torch.long), 1, 39)
    assert timing.looped is True
    rounds = [([number, 2, 3], 1) for number in range(40)]
    timing = speculation.time_rounds(Scripted(*rounds), torch.zeros(1, 5, dtype=torch.long), 1, 39)
    assert timing.looped is False


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_lookup_is_timed_without_a_draft_model(tokens_path, tmp_path, temperature):
    short = SETTINGS["speed"] | {"points": [40], "steps": 70}
    settings = SETTINGS | LOOKUP | {"job": "speculation", "speed": short, "temperature": temperature}
    speculation.measure(settings, str(tokens_path), str(tmp_path / "rounds.parquet"))
    steps, notes = read_table(tmp_path / "rounds.parquet")
    assert notes["status"] == "ok" and "draft" not in notes["inputs"]
    assert len(steps) == 2 * 70
    kept = steps["tokens"] - 1
    assert ((kept <= steps["judged"]) & (steps["judged"] <= np.minimum(kept + 1, 3))).all()
    assert all(point["looped"] in (True, False) for point in notes["points"])
    if not temperature:  # greedy text of a tiny model soon repeats itself
        assert kept.sum() > 0


def test_repetitions_of_one_document_continue_places_of_their_own(tokens_path, tmp_path):
    path = write_tokens(tmp_path / "one.parquet", read_table(tokens_path)[0]["token_ids"][0].tolist())
    taker = speculation.timer(
        speculation.Bench(SETTINGS | LOOKUP | {"speed": SETTINGS["speed"] | {"points": [40]}}, path)
    )
    prompts = [taker.bench.texts(40, repetition)[0].tolist() for repetition in range(3)]
    assert len({tuple(prompt) for prompt in prompts}) == 3
