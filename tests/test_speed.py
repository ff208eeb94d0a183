"""The clock counts what it says, and a speed job records failure as failure."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sinkbench import compile_cost, engines, speed
from sinkbench.bandwidth import measure_bandwidth
from sinkbench.bench import Bench
from sinkbench.clock import time_decode
from sinkbench.compile_cost import CACHE, TRITON_CACHE
from sinkbench.errors import Unavailable, UserError
from sinkbench.records import stamp
from sinkbench.store import read_table, write_table
from sinkbench.tokens import _row
from sinkbench.trail import ROOM
from test_known_answers import FIXTURE

SETTINGS = {
    "label": "speed test",
    "model": {"source": "folder", "path": FIXTURE, "dtype": "float32"},
    "device": "cpu",
    "policy": "streaming",
    "with": {"budget": 32, "sinks": 4},
    "quantization": "none",
    "engine": "eager",
    "batch": 1,
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

    def prefill(self, prompts, room):
        self.prompts.append(prompts.shape[1])
        self.room = room
        return torch.eye(8)[7:]

    def step(self, tokens):
        self.steps.append(tokens.tolist())
        return torch.eye(8)[7:]


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
    timing = time_decode(engine, torch.zeros(1, 5, dtype=torch.long), warmup=2, steps=4)
    assert engine.prompts == [5]
    assert engine.steps == [[7]] * engine.room
    assert engine.room == 6
    assert len(timing.steps_ms) == 4
    assert sum(timing.steps_ms) <= 4 * timing.tpot_ms


class RecordingEngine(CountingEngine):
    """Says which points were visited and that nothing of the point before was still held."""

    held = 0

    def reset(self):
        self.held = 0

    def prefill(self, prompts, room):
        assert self.held == 0
        self.held = prompts.shape[1]
        return super().prefill(prompts, room)

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
    timing = speed.Timer(Bench(SETTINGS | {"policy": policy, "with": options}, tokens_path))
    monkeypatch.setattr(timing, "_score", lambda: {"max_gap": 0.0})
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
        ("streaming", {"budget": 32, "sinks": 4}, "reference", 31),
        ("dense", {"max_tokens": 300}, "stock", 19),
        ("dense", {"max_tokens": 300}, "eager", 19),
        ("recompute", {"budget": 32, "sinks": 4, "samples": 1, "first_position": 32}, "fresh", 31),
    ],
)
def test_what_is_timed_is_scored(tokens_path, tmp_path, policy, options, engine, scored_after):
    """From where a bounded cache is full on; where it grows, up to the first context, or from its start."""
    kind = {"dense": "context", "recompute": "budget"}.get(policy, "position")
    speed_settings = SETTINGS["speed"] | {"kind": kind}
    settings = SETTINGS | {"policy": policy, "with": options, "engine": engine, "speed": speed_settings}
    speed.measure_speed(settings, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert notes["status"] == "ok"
    assert notes["stamp"] == stamp(settings)
    assert notes["score"]["max_gap"] < 1e-4
    assert notes["score"]["from"] == scored_after
    assert len(steps) == 3 * 2 * len(set(steps.point))


def test_a_growing_cache_shorter_than_the_score_is_scored_from_its_second_token(tokens_path):
    short = SETTINGS["speed"] | {"points": [10]}
    dense = SETTINGS | {"policy": "dense", "with": {"max_tokens": 300}, "speed": short}
    assert Bench(dense, tokens_path).scored_from == 1


def test_an_engine_that_compiles_reads_a_prompt_of_every_point_before_it_is_timed(tokens_path, monkeypatch):
    """What reads prompts may come from the compiler's cache, which the timer finds empty."""
    engine = CountingEngine()
    engine.compilation = object()
    monkeypatch.setattr(engines, "build", lambda *_: engine)
    monkeypatch.setattr(speed, "Timer", lambda bench: SimpleNamespace(measure=bench.engine.prompts.copy))
    assert speed._measured(Bench(SETTINGS, tokens_path)) == [40, 80]


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


class CompilationError(Exception):
    """Stands for Triton's, which a CPU build of torch does not bring."""


CompilationError.__module__ = "triton.compiler.errors"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "unavailable: CUDA out of"),
        (
            torch.AcceleratorError("CUDA error: misaligned address\nand advice"),
            "failed: AcceleratorError: CUDA error: misaligned",
        ),
        (CompilationError("at 3:4: unsupported"), "failed: CompilationError: at 3:4"),
        (KeyError("batch"), "failed: KeyError: 'batch'"),
        (MemoryError(), "failed: MemoryError:"),
        (RuntimeError("mat1 and mat2 shapes\ncannot be multiplied"), "failed: RuntimeError: mat1 and mat2"),
    ],
)
def test_what_ends_a_run_is_its_status_in_one_line_and_the_log_has_the_rest(
    tokens_path, tmp_path, monkeypatch, capsys, error, status
):
    monkeypatch.setattr(speed.Timer, "measure", raising(error))
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    steps, notes = read_table(tmp_path / "steps.parquet")
    assert len(steps) == 0 and "points" not in notes
    assert notes["status"].startswith(status) and "\n" not in notes["status"]
    captured = capsys.readouterr()
    assert "Traceback" in captured.err and "NOTHING MEASURED" in captured.out


@pytest.mark.parametrize("error", [UserError("model: cannot be read"), KeyboardInterrupt(), SystemExit(1)])
def test_what_the_user_must_mend_is_no_result(tokens_path, tmp_path, monkeypatch, error):
    monkeypatch.setattr(speed.Timer, "measure", raising(error))
    with pytest.raises(type(error)):
        speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert not (tmp_path / "steps.parquet").exists()


def raising(error: Exception):
    def method(*_):
        raise error

    return method


def test_every_repetition_has_its_state_and_what_disturbed_it(tokens_path, tmp_path, monkeypatch):
    states = iter([{"load_average": 1e9}] + 100 * [{"host_ms": 1.0, "load_average": 0.0}])
    monkeypatch.setattr(speed, "read_state", lambda _: next(states))
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    assert len(notes["points"]) == 2 * 2
    for repetition in notes["points"]:
        assert set(repetition["state"]) == {"before", "after"} and repetition["host_ms"] == 1.0
        assert any("load average" in reason for reason in repetition["disturbed"])


def test_bandwidth_is_that_of_reading_and_of_copying():
    bandwidth = measure_bandwidth(torch.device("cpu"))
    assert set(bandwidth) == {"read", "copy"}
    assert all(1e8 < speed < 1e13 for speed in bandwidth.values())


def test_a_batch_reads_weights_once_and_keys_for_every_stream(tokens_path):
    benches = (Bench(SETTINGS | {"batch": batch}, tokens_path) for batch in (1, 4))
    single, four = map(speed.Timer, benches)
    keys = 33 * 2 * 3 * 64 * 4
    assert four._bytes_per_step(80) - single._bytes_per_step(80) == 3 * keys


@pytest.mark.parametrize(
    ("policy", "options", "keys", "passes"),
    [
        ("select", {"chosen": 8}, 50 / 2 + 8 / 2, 0),  # every key of the store, and the chosen values
        ("copy", {"chosen": 8}, 8, 0),
        ("reprefill", {}, 0, 1),
    ],
)
def test_a_step_reads_its_share_of_a_refresh(tokens_path, policy, options, keys, passes):
    options |= {"budget": 32, "sinks": 4, "every": 6, "lookback": 50}
    settings = SETTINGS | {"policy": policy, "with": options, "engine": "eager"}
    refreshed, streaming = (
        speed.Timer(Bench(settings, tokens_path)),
        speed.Timer(Bench(SETTINGS, tokens_path)),
    )
    key, weights = 2 * 3 * 64 * 4, streaming._bytes_per_step(80) - 33 * 2 * 3 * 64 * 4
    more = refreshed._bytes_per_step(80) - streaming._bytes_per_step(80)
    assert more == round((keys * key + passes * weights) / 6)
    assert refreshed._bytes_per_step(10) < streaming._bytes_per_step(80)  # nothing to refresh yet


def test_a_store_is_memory_that_no_step_reads(tokens_path, tmp_path):
    options = {"budget": 32, "sinks": 4, "every": 2, "lookback": 50, "chosen": 8}
    settings = SETTINGS | {"policy": "copy", "with": options}
    speed.measure_speed(settings, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    far, number = notes["points"][1], 3 * 4  # bytes of one dimension of all layers' heads
    tokens = 50 + 50 // ROOM
    assert far["store_bytes"] == number * tokens * (64 + 64 + 4 * 4)  # keys are widened by the rotary part
    assert far["cache_bytes"] - far["store_bytes"] == number * (33 + 33 + 4) * 64


def test_each_round_reads_a_text_of_its_own_and_no_other_text_is_held(tokens_path, tmp_path):
    ids = read_table(tokens_path)[0]["token_ids"][0]
    corpora = {}
    for count in (3, 9):  # one for each round, and more
        corpora[count] = tmp_path / f"{count}.parquet"
        rows = [_row(str(number), np.roll(ids, number).tolist()) for number in range(count)]
        write_table(corpora[count], pd.DataFrame(rows), {"stamp": stamp(SETTINGS["tokens"])})
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

        def prefill(self, prompts, room):
            return torch.zeros(1, 256)

    monkeypatch.setattr(engines, "build", lambda *_: Broken())
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert read_table(tmp_path / "steps.parquet")[1]["status"].startswith("invalid")


def test_tokens_of_another_config_are_refused(tokens_path, tmp_path):
    with pytest.raises(UserError, match="made with another config"):
        speed.measure_speed(
            SETTINGS | {"tokens": {"corpus": "other"}}, tokens_path, tmp_path / "steps.parquet"
        )


@pytest.fixture
def folders(monkeypatch):
    """Where compilers look for what was compiled before, asked at each round of a job; "before" outside."""
    seen = []

    def bandwidth(device) -> dict:
        seen.append((os.environ[CACHE], os.environ[TRITON_CACHE]))
        return {"read": 1.0, "copy": 1.0}

    monkeypatch.setattr(speed, "measure_bandwidth", bandwidth)
    for name in (CACHE, TRITON_CACHE):
        monkeypatch.setenv(name, "before")
    return seen


def test_what_is_compiled_is_counted_from_an_empty_cache_without_the_score(tokens_path, tmp_path, folders):
    torch._dynamo.reset()
    before = compile_cost._graphs()
    speed.measure_speed(SETTINGS | {"engine": "compiled"}, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    assert notes["status"] == "ok" and notes["score"]["max_gap"] < 1e-4
    assert notes["compilation"]["graphs"] == 2 == compile_cost._graphs() - before  # none for the score alone
    assert notes["compilation"]["seconds"] > 0
    assert all(triton == f"{folder}/triton" and not Path(folder).exists() for folder, triton in folders)
    assert os.environ[CACHE] == os.environ[TRITON_CACHE] == "before"


def test_an_engine_that_compiles_nothing_has_no_such_note(tokens_path, tmp_path):
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert read_table(tmp_path / "steps.parquet")[1]["compilation"] is None


def test_an_engine_that_compiles_nothing_keeps_the_compilers_cache(tokens_path, tmp_path, folders):
    """Or every job would compile the evaluator's attention anew, for most of its time on a GPU."""
    speed.measure_speed(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert set(folders) == {("before", "before")}
