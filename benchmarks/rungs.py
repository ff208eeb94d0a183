"""Runs that are timed in turn in one process (the library's path is set by whoever imports this)."""

import gc
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from textwrap import shorten

import pandas as pd
import torch
from sinkbench.artifacts.files import FAILED
from sinkbench.artifacts.parquet import write_table
from sinkbench.measure import speculation
from sinkbench.measure.bench import Bench
from sinkbench.measure.outcome import STATUS_CHARACTERS, failure, opening_notes
from sinkbench.measure.speed import COLUMNS, Timer
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.runtime.memory import measure_bandwidth


class Rung:
    """One run, timed in turn with others; what ends it is kept for its row."""

    def __init__(self, name: str, settings: dict, tokens: Path, folder: Path):
        self.name, self.settings, self.tokens, self.path = name, settings, tokens, folder / f"{name}.parquet"
        self.notes, self.table = opening_notes(settings, tokens), pd.DataFrame(columns=COLUMNS)
        self.timer: Timer | None = None

    def attempt(self, work: Callable[..., None], *arguments) -> None:
        """Do the next piece of work, unless an earlier one has failed."""
        if self.notes["status"] != "ok":
            return
        try:
            work(*arguments)
        except Exception as error:  # bad input too: it may be this run's alone, and the others have times
            status = failure(error) or shorten(f"{FAILED}{error}", STATUS_CHARACTERS)
            self.timer, self.notes["status"] = None, status
            print(f"{self.name}: {status}", flush=True)

    def build(self, make_model: Callable) -> None:
        bench = Bench(self.settings, self.tokens, make_model())
        self.timer = speculation.timer(bench) if "drafts" in self.settings else Timer(bench)

    def take(self, repetition: int, bandwidth: dict) -> None:
        """One round, if it has so many; the cache goes, since the next rung may need its room."""
        if repetition > self.settings["speed"]["repetitions"]:  # drafts visit more places than others repeat
            return
        begun = time.monotonic()
        self.timer.take(repetition, bandwidth)
        self.timer.engine.reset()
        if repetition == 0:
            print(f"{self.name}: ready after {time.monotonic() - begun:.0f} s", flush=True)

    def finish(self) -> None:
        self.table, measured = self.timer.result()
        self.notes |= measured
        self.timer.engine.reset()


def climb(rungs: list[Rung]) -> None:
    """Time rungs of one number format in turn, on one model, and write their results."""
    settings = rungs[0].settings

    @cache
    def make_model():
        return apply_format(settings["quantization"], load_model(settings["model"], settings["device"]))

    for rung in rungs:
        rung.attempt(rung.build, make_model)
    for repetition in range(max(rung.settings["speed"]["repetitions"] for rung in rungs) + 1):
        bandwidth = measure_bandwidth(torch.device(settings["device"]))
        for rung in rungs:
            rung.attempt(rung.take, repetition, bandwidth)
    for rung in rungs:
        rung.attempt(rung.finish)
        rung.timer = None
        write_table(rung.path, rung.table, rung.notes)
    make_model.cache_clear()
    gc.collect()  # before the next model: engines and what they compiled may refer to one another
