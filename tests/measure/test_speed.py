"""The clock counts what it says, and a speed job records failure as failure."""

import numpy as np
import pytest
import torch
from sinkbench import engines
from sinkbench.artifacts.fingerprint import stamp_of
from sinkbench.artifacts.parquet import read_table
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable, UserError
from sinkbench.measure import clock, speed
from sinkbench.measure.bench import Bench
from sinkbench.measure.clock import time_decode
from sinkbench.runtime import memory
from sinkbench.runtime.memory import measure_bandwidth
from speed_jobs import SETTINGS, CountingEngine, write_tokens


def test_the_clock_takes_the_steps_it_times_and_feeds_greedy_tokens_back():
    engine = CountingEngine()
    timing = time_decode(engine, torch.zeros(1, 5, dtype=torch.long), warmup=2, steps=4)
    assert engine.prompts == [5]
    assert engine.steps == [[7]] * engine.room
    assert engine.room == 6
    assert len(timing.steps_ms) == 4
    assert sum(timing.steps_ms) == pytest.approx(4 * timing.tpot_ms)


def test_the_clock_runs_from_the_end_of_one_step_to_the_end_of_another(monkeypatch):
    """Neither a first launch onto a resting device nor a last wait for it is a step's."""
    events = iter(range(100))
    log = []
    monkeypatch.setattr(clock, "synchronise", lambda _: log.append("wait"))
    monkeypatch.setattr(clock, "record_event", lambda _: log.append("mark") or 10.0 * next(events))
    monkeypatch.setattr(clock, "elapsed_ms", lambda first, second: second - first)
    engine = CountingEngine()
    engine.step = lambda tokens: log.append("step") or torch.eye(8)[7:]
    timing = time_decode(engine, torch.zeros(1, 5, dtype=torch.long), warmup=2, steps=3)
    assert log == ["wait"] * 2 + ["step"] * 2 + ["mark"] + ["step", "mark"] * 3 + ["wait"]
    assert timing.tpot_ms == 10.0 and timing.steps_ms == [10.0] * 3


class RecordingEngine(CountingEngine):
    """Says which points were visited and that nothing of the point before was still held."""

    held = 0

    def reset(self):
        self.held = 0

    def prefill(self, prompts, max_new_tokens):
        assert self.held == 0
        self.held = prompts.shape[1]
        return super().prefill(prompts, max_new_tokens)

    def cache_bytes(self):
        return self.held


@pytest.mark.parametrize(
    ("policy", "options", "distinct"),
    [("streaming", {"budget": 32, "sinks": 4}, {40, 80}), ("dense", {"max_tokens": 300}, None)],
)
def test_points_are_visited_in_turn_and_a_growing_cache_meets_every_length_once(
    tokens_path, monkeypatch, policy, options, distinct
):
    engine = RecordingEngine()
    monkeypatch.setattr(engines, "build", lambda *_: engine)
    timing = speed.Timer(Bench(SETTINGS | {"policy": policy, "options": options}, tokens_path))
    monkeypatch.setattr(speed, "score", lambda *_: {"max_gap": 0.0})
    timing.measure()
    assert len(engine.prompts) == (2 + 1) * 2
    if distinct:
        assert set(engine.prompts) == distinct
    else:
        assert len(set(engine.prompts)) == len(engine.prompts)
        for point in (40, 80):
            assert sum(abs(length - point) <= 8 for length in engine.prompts) == 3


@pytest.mark.parametrize(
    ("policy", "options", "engine", "scored_after"),
    [
        ("streaming", {"budget": 32, "sinks": 4}, "eager", 31),
        ("window", {"budget": 32}, "eager", 31),
        ("streaming", {"budget": 32, "sinks": 4}, "paper", 31),
        ("dense", {"max_tokens": 300}, "hf", 19),
        ("dense", {"max_tokens": 300}, "eager", 19),
        ("recompute", {"budget": 32, "sinks": 4, "samples": 1, "first_position": 32}, "fresh", 31),
    ],
)
def test_what_is_timed_is_scored(tokens_path, tmp_path, policy, options, engine, scored_after):
    """From where a bounded cache is full on; where it grows, up to the first context, or from its start."""
    kind = {"dense": "context", "recompute": "budget"}.get(policy, "position")
    speed_settings = SETTINGS["speed"] | {"kind": kind}
    settings = SETTINGS | {
        "policy": policy,
        "options": options,
        "engine": engine_row(engine),
        "speed": speed_settings,
    }
    speed.measure(settings, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert notes["status"] == "ok"
    assert stamp_of(settings).items() <= notes.items()
    assert notes["score"]["max_gap"] < 1e-4
    assert notes["score"]["from"] == scored_after
    assert len(steps) == 3 * 2 * len(set(steps.point))


def test_a_growing_cache_of_static_shapes_meets_the_same_lengths_in_every_repetition(
    tokens_path, monkeypatch
):
    """Nothing is planned anew for a length; another one would only be captured or compiled again."""
    engine = RecordingEngine()
    monkeypatch.setattr(engines, "build", lambda *_: engine)
    row = engine_row("graph")
    dense = SETTINGS | {"engine": row, "policy": "dense", "options": {"max_tokens": 300}}
    timing = speed.Timer(Bench(dense, tokens_path))
    monkeypatch.setattr(speed, "score", lambda *_: {"max_gap": 0.0})
    timing.measure()
    stretch = SETTINGS["speed"]["warmup"] + SETTINGS["speed"]["steps"]
    assert set(engine.prompts) == {point - stretch // 2 for point in SETTINGS["speed"]["points"]}


def test_the_yardstick_is_measured_beside_no_cache(tokens_path, monkeypatch):
    engine, held = RecordingEngine(), []
    monkeypatch.setattr(engines, "build", lambda *_: engine)
    monkeypatch.setattr(
        speed, "measure_bandwidth", lambda _: held.append(engine.held) or dict.fromkeys(("read", "copy"), 1.0)
    )
    timing = speed.Timer(Bench(SETTINGS, tokens_path))
    monkeypatch.setattr(speed, "score", lambda *_: {"max_gap": 0.0})
    timing.measure()
    assert held == [0, 0, 0]


def test_a_growing_cache_shorter_than_the_score_is_scored_from_its_second_token(tokens_path):
    short = SETTINGS["speed"] | {"points": [10]}
    dense = SETTINGS | {"policy": "dense", "options": {"max_tokens": 300}, "speed": short}
    assert Bench(dense, tokens_path).scored_from == 1


def test_an_engine_that_cannot_run_leaves_its_reason_and_no_number(tokens_path, tmp_path, monkeypatch):
    def refuse(*_):
        raise Unavailable("this engine needs a CUDA device")

    monkeypatch.setattr(engines, "build", refuse)
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert len(steps) == 0
    assert notes["status"] == "unavailable: this engine needs a CUDA device"


class CompilationError(Exception):
    """Stands for Triton's, which a CPU build of torch does not bring."""


CompilationError.__module__ = "triton.compiler.errors"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "unavailable: CUDA out of"),
        (
            torch.AcceleratorError("CUDA error: misaligned address\nand advice"),
            "failed: CUDA error: misaligned",
        ),
        (CompilationError("at 3:4: unsupported"), "failed: at 3:4"),
        (KeyError("batch"), "failed: nothing is called 'batch'"),
        (MemoryError(), "failed: the host's memory is full"),
        (RuntimeError(), "failed: no reason given"),
        (RuntimeError("mat1 and mat2 shapes\ncannot be multiplied"), "failed: mat1 and mat2"),
    ],
)
def test_what_ends_a_run_is_its_status_in_one_line_and_the_log_has_the_rest(
    tokens_path, tmp_path, monkeypatch, capsys, error, status
):
    monkeypatch.setattr(speed.Timer, "measure", raising(error))
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert len(steps) == 0 and "points" not in notes
    assert notes["status"].startswith(status) and "\n" not in notes["status"]
    captured = capsys.readouterr()
    assert "Traceback" in captured.err and "NOTHING MEASURED" in captured.out


@pytest.mark.parametrize("error", [UserError("model: cannot be read"), KeyboardInterrupt(), SystemExit(1)])
def test_what_the_user_must_mend_is_no_result(tokens_path, tmp_path, monkeypatch, error):
    monkeypatch.setattr(speed.Timer, "measure", raising(error))
    with pytest.raises(type(error)):
        speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert not (tmp_path / "steps.parquet").exists()


def raising(error: Exception):
    def method(*_):
        raise error

    return method


def test_every_repetition_has_its_state_and_what_disturbed_it(tokens_path, tmp_path, monkeypatch):
    states = iter([{"load_average": 1e9}] + 100 * [{"host_ms": 1.0, "load_average": 0.0}])
    monkeypatch.setattr(speed, "read_state", lambda _: next(states))
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    assert len(notes["points"]) == 2 * 2
    for repetition in notes["points"]:
        assert set(repetition["state"]) == {"before", "after"} and repetition["host_ms"] == 1.0
        assert any("load average" in reason for reason in repetition["disturbed"])


def test_bandwidth_is_that_of_reading_and_of_copying():
    bandwidth = measure_bandwidth(torch.device("cpu"))
    assert set(bandwidth) == {"read", "copy"}
    assert all(1e8 < speed < 1e13 for speed in bandwidth.values())


class Card:
    """A device on which a launch takes the host 10 us and a read 250 us of its own time, one after another.

    Times of its events in us; it forgets nothing of what it was asked for.
    """

    LAUNCH, READ = 10.0, 250.0

    def __init__(self):
        self.host = self.free = 0.0
        self.asked = []

    def work(self):
        self.host += self.LAUNCH
        self.free = max(self.free, self.host) + self.READ
        self.asked.append("read")

    def mark(self, _):
        self.asked.append("mark")
        return max(self.free, self.host)

    def wait(self, _):
        self.host = self.free = max(self.free, self.host)


def test_no_launch_is_in_the_time_of_a_read(monkeypatch):
    """Timed alone on a resting device, a read of 250 us would pass for one of 260."""
    card = Card()
    monkeypatch.setattr(memory, "record_event", card.mark)
    monkeypatch.setattr(memory, "synchronise", card.wait)
    monkeypatch.setattr(memory, "elapsed_ms", lambda first, second: (second - first) / 1e3)
    seconds = memory._best_seconds(torch.device("cuda"), card.work)
    assert seconds == pytest.approx(250e-6)
    begun = card.asked.index("mark")
    assert begun >= 1 and card.asked[begun + 1 :].index("mark") == 8


def test_the_yardstick_takes_little_memory_and_a_read_needs_one_array(monkeypatch):
    """1 GiB each: many times any cache, and too little to push a run that fits out of a card."""
    assert memory.BYTES["cuda"] == 1 << 30
    alive, made = [], []
    allocate = torch.zeros(1)

    def array(kind):
        return lambda *_, **__: made.append(kind) or allocate

    monkeypatch.setattr(torch, "zeros", array("source"))
    monkeypatch.setattr(torch, "empty_like", array("target"))
    monkeypatch.setattr(memory, "_best_seconds", lambda *_: alive.append(list(made)) or 1.0)
    memory.measure_bandwidth(torch.device("cuda"))
    assert alive == [["source"], ["source", "target"]]


def test_each_round_reads_a_text_of_its_own_and_no_other_text_is_held(tokens_path, tmp_path):
    ids = read_table(tokens_path)[0]["token_ids"][0]
    corpora = {
        count: write_tokens(tmp_path / f"{count}.parquet", *(np.roll(ids, k).tolist() for k in range(count)))
        for count in (3, 9)  # one for each round, and more
    }
    few, many = (Bench(SETTINGS, path) for path in corpora.values())
    assert few.text.numel() == many.text.numel()
    for number in range(3):
        assert many.texts(5, number).tolist() == [np.roll(ids, number)[:5].tolist()]


def test_an_engine_that_computes_nan_is_invalid(tokens_path, tmp_path, monkeypatch):
    class Broken(CountingEngine):
        def reset(self):
            pass

        def cache_bytes(self):
            return 0

        def step(self, tokens):
            return torch.full((1, 256), float("nan"))

        def prefill(self, prompts, max_new_tokens):
            return torch.zeros(1, 256)

    monkeypatch.setattr(engines, "build", lambda *_: Broken())
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert read_table(tmp_path / "steps.parquet")[1]["status"].startswith("invalid")


def test_tokens_of_another_config_are_refused(tokens_path, tmp_path):
    with pytest.raises(UserError, match="made with another config"):
        speed.measure(
            SETTINGS | {"tokens": SETTINGS["tokens"] | {"corpus": "other"}},
            tokens_path,
            tmp_path / "steps.parquet",
        )
