"""Runs that are timed in turn in one process (the library's path is set by whoever imports this)."""

import gc
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from sinkbench import quantization
from sinkbench.artifacts.parquet import write_table
from sinkbench.measure.bench import Bench
from sinkbench.measure.outcome import failure, opening_notes
from sinkbench.measure.speed import COLUMNS, Timer
from sinkbench.model.loading import load_model
from sinkbench.runtime.memory import measure_bandwidth


class Rung:
    """One run, timed in turn with others; what ends it is kept for its row."""

    def __init__(self, name: str, settings: dict, folder: Path):
        self.name, self.settings, self.path = name, settings, folder / f"{name}.parquet"
        self.notes, self.table, self.timer = opening_notes(settings), pd.DataFrame(columns=COLUMNS), None

    def attempt(self, work: Callable[..., None], *arguments) -> None:
        """Do the next piece of work, unless an earlier one has failed."""
        if self.notes["status"] != "ok":
            return
        try:
            work(*arguments)
        except Exception as error:
            if (status := failure(error)) is None:
                raise
            self.timer, self.notes["status"] = None, status
            print(f"{self.name}: {status}", flush=True)

    def build(self, tokens: Path, make_model: Callable) -> None:
        self.timer = Timer(Bench(self.settings, tokens, make_model()))

    def take(self, repetition: int, bandwidth: dict) -> None:
        """One round; the cache goes, since the next rung may need its room."""
        begun = time.monotonic()
        self.timer.take(repetition, bandwidth)
        self.timer.engine.reset()
        if repetition == 0:
            print(f"{self.name}: ready after {time.monotonic() - begun:.0f} s", flush=True)

    def finish(self) -> None:
        self.table, measured = self.timer.result()
        self.notes |= measured
        self.timer.engine.reset()


def climb(rungs: list[Rung], tokens: Path) -> None:
    """Time rungs of one number format in turn, on one model, and write their results."""
    settings = rungs[0].settings

    @cache
    def make_model():
        return quantization.apply(settings["quantization"], load_model(settings["model"], settings["device"]))

    for rung in rungs:
        rung.attempt(rung.build, tokens, make_model)
    for repetition in range(settings["speed"]["repetitions"] + 1):
        bandwidth = measure_bandwidth(torch.device(settings["device"]))
        for rung in rungs:
            rung.attempt(rung.take, repetition, bandwidth)
    for rung in rungs:
        rung.attempt(rung.finish)
        rung.timer = None
        write_table(rung.path, rung.table, rung.notes)
    make_model.cache_clear()
    gc.collect()  # before the next model: engines and what they compiled may refer to one another
