"""The ladder benchmark times runs in turn, and what ends one of them ends no other."""

import sys

import pytest
import torch
from helpers import ROOT
from sinkbench.artifacts.parquet import read_table
from sinkbench.engines.table import engine_row
from sinkbench.measure import speed
from speed_jobs import SETTINGS

sys.path.append(str(ROOT / "benchmarks"))

import rungs

SPEED = SETTINGS["speed"] | {"points": [40]}
WORDS = ["eager", "paper", "compiled"]


def settings_of(word: str, **speed_settings) -> dict:
    return SETTINGS | {"engine": engine_row(word), "label": word, "speed": SPEED | speed_settings}


@pytest.fixture
def climbed(tokens_path, tmp_path, monkeypatch):
    """The order of the visits, and the results by engine, of a climb on which `compiled` fails once timed."""
    visits, made = [], []
    take, load = speed.Timer.take, rungs.load_model

    def watched(timer, repetition, bandwidth):
        word = timer.bench.settings["engine"]["name"]
        visits.append((repetition, word))
        if (repetition, word) == (1, "compiled"):
            raise torch.OutOfMemoryError("no room")
        take(timer, repetition, bandwidth)

    monkeypatch.setattr(speed.Timer, "take", watched)
    monkeypatch.setattr(rungs, "load_model", lambda *about: made.append(about) or load(*about))
    ladder = [rungs.Rung(word, settings_of(word), tokens_path, tmp_path) for word in WORDS]
    rungs.climb(ladder)
    return visits, made, {word: read_table(tmp_path / f"{word}.parquet") for word in WORDS}


def test_repetitions_are_taken_in_turn_on_one_model(climbed):
    visits, made, _ = climbed
    both = [(repetition, word) for repetition in range(2) for word in WORDS]
    assert visits == [*both, (2, "eager"), (2, "paper")]
    assert len(made) == 1


def test_a_rung_takes_as_many_repetitions_as_it_says(tokens_path, tmp_path):
    """Drafts continue more places than other runs have repetitions, and need not come first."""
    wanted = {"eager": 1, "paper": 3}
    rungs.climb(
        [
            rungs.Rung(word, settings_of(word, repetitions=count), tokens_path, tmp_path)
            for word, count in wanted.items()
        ]
    )
    for word, count in wanted.items():
        assert {*read_table(tmp_path / f"{word}.parquet")[0].repetition} == {*range(1, count + 1)}


def test_a_rung_that_fails_keeps_its_reason_and_the_others_their_times(climbed):
    results = climbed[2]
    for word in ("eager", "paper"):
        steps, notes = results[word]
        assert notes["status"] == "ok" and notes["score"]["max_gap"] < 1e-4
        assert set(steps.repetition) == {1, 2} and len(steps) == 2 * SPEED["steps"]
    steps, notes = results["compiled"]
    assert steps.empty and notes["status"] == "unavailable: no room"
