"""What compiling costs is counted from an empty cache, and nothing but the timed steps is in it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sinkbench import engines
from sinkbench.artifacts.parquet import read_table
from sinkbench.engines.table import engine_row
from sinkbench.measure import speed
from sinkbench.measure.bench import Bench
from sinkbench.runtime import compile_cost
from sinkbench.runtime.compile_cost import CACHE, TRITON_CACHE
from speed_jobs import SETTINGS, CountingEngine


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
    speed.measure(SETTINGS | {"engine": engine_row("compiled")}, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    assert notes["status"] == "ok" and notes["score"]["max_gap"] < 1e-4
    assert notes["compilation"]["graphs"] == 2 == compile_cost._graphs() - before  # none for the score alone
    assert notes["compilation"]["seconds"] > 0
    assert all(triton == f"{folder}/triton" and not Path(folder).exists() for folder, triton in folders)
    assert os.environ[CACHE] == os.environ[TRITON_CACHE] == "before"


def test_an_engine_that_compiles_reads_a_prompt_of_every_point_before_it_is_timed(tokens_path, monkeypatch):
    """What reads prompts may come from the compiler's cache, which the timer finds empty."""
    engine = CountingEngine()
    engine.compilation = object()
    monkeypatch.setattr(engines, "build", lambda *_: engine)
    monkeypatch.setattr(speed, "Timer", lambda bench: SimpleNamespace(measure=bench.engine.prompts.copy))
    assert speed._measured(Bench(SETTINGS, tokens_path)) == [40, 80]


def test_an_engine_that_compiles_nothing_has_no_such_note(tokens_path, tmp_path):
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert read_table(tmp_path / "steps.parquet")[1]["compilation"] is None


def test_an_engine_that_compiles_nothing_keeps_the_compilers_cache(tokens_path, tmp_path, folders):
    """Or every job would compile the evaluator's attention anew, for most of its time on a GPU."""
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    assert set(folders) == {("before", "before")}
