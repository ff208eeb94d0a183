"""The clock counts what it says, and a speed job records failure as failure."""

import pandas as pd
import pytest
import torch
from sinkbench import engines, speed
from sinkbench.clock import time_decode
from sinkbench.errors import Unavailable, UserError
from sinkbench.records import stamp
from sinkbench.store import read_table, write_table
from sinkbench.tokens import _row
from test_known_answers import FIXTURE

SETTINGS = {
    "label": "speed test",
    "model": {"source": "folder", "path": FIXTURE, "dtype": "float32"},
    "device": "cpu",
    "policy": "streaming",
    "with": {"budget": 32, "sinks": 4},
    "quantization": "none",
    "engine": "eager",
    "chunk_tokens": 64,
    "tokens": {"corpus": "text"},
    "speed": {
        "kind": "position",
        "points": [40, 80],
        "warmup": 1,
        "steps": 3,
        "repetitions": 2,
        "score_tokens": 20,
    },
}


class CountingEngine:
    """Counts calls; always says token 7."""

    def __init__(self):
        self.prompts, self.steps = [], []

    def prefill(self, prompt):
        self.prompts.append(len(prompt))
        return torch.eye(8)[7]

    def step(self, token):
        self.steps.append(token.tolist())
        return torch.eye(8)[7]


@pytest.fixture
def tokens_path(tmp_path, known):
    path = tmp_path / "tokens.parquet"
    write_table(
        path,
        pd.DataFrame([_row("text", known["tokens"].astype(int).tolist())]),
        {"stamp": stamp(SETTINGS["tokens"])},
    )
    return path


def test_the_clock_takes_the_steps_it_times_and_feeds_greedy_tokens_back():
    engine = CountingEngine()
    timing = time_decode(engine, torch.zeros(5, dtype=torch.long), warmup=2, steps=4)
    assert engine.prompts == [5]
    assert engine.steps == [[7]] * 6
    assert len(timing.steps_ms) == 4
    assert sum(timing.steps_ms) <= 4 * timing.tpot_ms


class RecordingEngine(CountingEngine):
    """Says which points were visited and that nothing of the point before was still held."""

    held = 0

    def reset(self):
        self.held = 0

    def prefill(self, prompt):
        assert self.held == 0
        self.held = len(prompt)
        return super().prefill(prompt)

    def cache_bytes(self):
        return self.held


@pytest.mark.parametrize(("form", "distinct"), [("ring", {40, 80}), ("growing", None)])
def test_points_are_visited_in_turn_and_a_growing_cache_meets_every_length_once(
    tokens_path, monkeypatch, form, distinct
):
    engine = RecordingEngine()
    monkeypatch.setattr(engines, "build", lambda *_: engine)
    monkeypatch.setattr(engines, "cache_form", lambda _: form)
    bench = speed._Bench(SETTINGS, tokens_path)
    monkeypatch.setattr(bench, "_score", dict)
    bench.measure()
    assert len(engine.prompts) == (2 + 1) * 2
    if distinct:
        assert set(engine.prompts) == distinct
    else:
        assert len(set(engine.prompts)) == len(engine.prompts)
        for point in (40, 80):
            assert sum(abs(length - point) <= 8 for length in engine.prompts) == 3


@pytest.mark.parametrize(
    ("policy", "options", "engine"),
    [
        ("streaming", {"budget": 32, "sinks": 4}, "eager"),
        ("window", {"budget": 32}, "eager"),
        ("streaming", {"budget": 32, "sinks": 4}, "reference"),
        ("dense", {"max_tokens": 300}, "stock"),
        ("recompute", {"budget": 32, "sinks": 4, "samples": 1, "first_position": 32}, "fresh"),
    ],
)
def test_what_is_timed_is_scored(tokens_path, tmp_path, policy, options, engine):
    kind = {"dense": "context", "recompute": "budget"}.get(policy, "position")
    speed_settings = SETTINGS["speed"] | {"kind": kind}
    settings = SETTINGS | {"policy": policy, "with": options, "engine": engine, "speed": speed_settings}
    speed.measure_speed(settings, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert notes["status"] == "ok"
    assert notes["stamp"] == stamp(settings)
    assert notes["score"]["max_gap"] < 1e-4
    assert len(steps) == 3 * 2 * len(set(steps.point))


def test_bytes_per_step_count_weights_and_visible_keys(tokens_path, tmp_path, tiny):
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    weights = sum(p.numel() for p in tiny.parameters()) - tiny.gpt_neox.embed_in.weight.numel()
    keys = 33 * 2 * 3 * 64  # visible tokens x (key, value) x layers x width
    assert notes["points"][0]["bytes_per_step"] == 4 * (weights + keys)


def test_an_engine_that_cannot_run_leaves_its_reason_and_no_number(tokens_path, tmp_path, monkeypatch):
    def refuse(*_):
        raise Unavailable("this engine needs a CUDA device")

    monkeypatch.setattr(engines, "build", refuse)
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert len(steps) == 0
    assert notes["status"] == "unavailable: this engine needs a CUDA device"


def test_an_engine_that_computes_nan_is_invalid(tokens_path, tmp_path, monkeypatch):
    class Broken(CountingEngine):
        def reset(self):
            pass

        def cache_bytes(self):
            return 0

        def step(self, token):
            return torch.full((256,), float("nan"))

        def prefill(self, prompt):
            return torch.zeros(256)

    monkeypatch.setattr(engines, "build", lambda *_: Broken())
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert read_table(tmp_path / "steps.parquet")[1]["status"].startswith("invalid")


def test_tokens_of_another_config_are_refused(tokens_path, tmp_path):
    with pytest.raises(UserError, match="made with another config"):
        speed.measure_speed(
            SETTINGS | {"tokens": {"corpus": "other"}}, tokens_path, tmp_path / "steps.parquet"
        )
