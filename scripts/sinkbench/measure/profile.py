"""One profile job: where the time of a decode step goes, part by part, and how long the device waits.

A run's engine is brought to its steady state and its steps are timed: as they are and, where the host makes
many launches a step, with attention stubbed (see stub), in turn. Then the engine is built again, and torch's
profiler traces the warm-up and some steps. The warm-up shows the kernels that an engine captures. The prefill
is left out: some engines' is thousands of steps. So is the choice of the next token.

Where kernels overlap, nobody can say whose the time is. Such an engine is profiled with separate launches,
and its steps are timed so too. It knows what its kernels must read: none may be faster than the memory.

The profiler slows the host down, which would pass for waiting. The idle time is therefore that of an
unprofiled step less the busy time, at least 0 (profile_rows). On a CPU it is what the host spends outside of
operators, and underestimated, since some of the profiler's cost lies inside of them; the C++ that
torch.compile makes is no operator there and goes with `other`.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

from sinkbench import engines
from sinkbench.errors import Unavailable
from sinkbench.measure.attribution import annotate_modules, attribute, weight_shapes
from sinkbench.measure.bench import Bench
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.read_rate import check_read_rates
from sinkbench.measure.stub import without_attention
from sinkbench.measure.trace import STEP, Launch, read_launches
from sinkbench.results.step_parts import members
from sinkbench.runtime.device import elapsed_ms, record_event, synchronise
from sinkbench.runtime.progress import Progress

PROFILED_STEPS = 8
COLUMNS = ["step", "part", "kernel", "launches", "ms"]


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write the time of every kernel by step and part (COLUMNS) and, as notes, the unprofiled step times.

    Args:
        settings: see study.Study.profile_settings. See attempt for failures.
    """
    record_outcome(
        settings, tokens_path, output_path, COLUMNS, lambda: Profiling(Bench(settings, tokens_path)).measure()
    )


class Profiling:
    """At the smallest point that the run is timed at, where its cache is in steady state.

    Every repetition goes on where the one before has ended: what plans anew for each length must do so here.
    In static shapes all begin at the point.
    """

    def __init__(self, bench: Bench):
        self.bench, self.speed, self.point = bench, bench.speed, min(bench.points)
        self.one_launch = bench.settings["engine"]["one_launch"]
        self.stride = 0 if self.one_launch else bench.steps
        self.timed_steps = (self.speed["repetitions"] - 1) * self.stride + bench.steps

    def measure(self) -> tuple[pd.DataFrame, dict]:
        """The table and the notes. The profiler comes last: it may slow down what runs after it."""
        with Progress(self.bench.settings["label"], "passes", 2) as progress:
            times = self._times()
            progress(1)
            launches = self._traced()
            progress(1)
        parts = attribute(
            launches, weight_shapes(self.bench.model), engine_parts(self.bench.settings["engine"])
        )
        table = kernel_table(launches, parts)
        notes = {"kind": self.bench.kind, "point": self.point, **times, "bytes_read": self._bytes_read(table)}
        return table, notes

    def _times(self) -> dict[str, list[float]]:
        """Times of unprofiled steps by what is measured (see the schema of measurements), in ms."""
        if not self.one_launch:
            stub = partial(without_attention, self.bench.model)
            return self._step_times({"step_ms": nullcontext, "step_without_attention_ms": stub})
        times = self._step_times({"step_ms": nullcontext})
        return times | (self._step_times({"step_separate_ms": nullcontext}) if self._separate() else {})

    def _separate(self) -> bool:
        """Have the engine's kernels not overlap; False where they never do."""
        if separates := hasattr(self.bench.engine, "separate_launches"):
            self.bench.engine.separate_launches()
        return separates

    def _step_times(self, ways: dict[str, AbstractContextManager]) -> dict[str, list[float]]:
        """Mean time of a step in every repetition, by way and taken in turn: in each way's own context."""
        times = {way: [] for way in ways}
        for repetition in range(self.speed["repetitions"]):
            for way, context in ways.items():
                tokens = self._prefill(repetition * self.stride)
                with context():
                    times[way].append(self._step_time(tokens))
        return times

    def _step_time(self, tokens: Tensor) -> float:
        """From the end of the last warm-up step on, by the device's clock (events) on CUDA."""
        self._warm_up(tokens)
        begun = record_event(tokens.device)
        for _ in range(self.bench.steps):
            self.bench.engine.step(tokens)
        ended = record_event(tokens.device)
        synchronise(tokens.device)
        return elapsed_ms(begun, ended) / self.bench.steps

    def _traced(self) -> list[Launch]:
        """Launches of a new engine: warm-up, and marked steps in the middle of the timed ones."""
        cuda = self.bench.model.device.type == "cuda"
        self.bench.rebuild()
        self._separate()
        tokens = self._prefill(max(0, self.timed_steps - PROFILED_STEPS) // 2)
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
        annotate_modules(self.bench.model)
        with profile(activities=activities, record_shapes=True) as profiler:
            self._warm_up(tokens)
            synchronise(tokens.device)
            for _ in range(PROFILED_STEPS):
                with record_function(STEP):
                    self.bench.engine.step(tokens)
            synchronise(tokens.device)
        launches = read_launches(_events(profiler), cuda)
        if all(launch.step is None for launch in launches):
            raise Unavailable("torch's profiler saw no kernel; it needs access to CUPTI")
        return launches

    def _prefill(self, later: int) -> Tensor:
        """Prefill `later` tokens beyond the point; the ids [batch] to go on with.

        A growing cache has the same room wherever it begins, so that static shapes stay the same.
        """
        prompts = self.bench.texts(self.point + later)
        steps = self.speed["warmup"] + max(self.timed_steps, PROFILED_STEPS) - later
        self.bench.engine.reset()
        self.bench.engine.prefill(prompts, steps)
        return prompts[:, -1].contiguous()

    def _warm_up(self, tokens: Tensor) -> None:
        """The first of these steps builds what the engine compiles or captures."""
        for _ in range(self.speed["warmup"]):
            self.bench.engine.step(tokens)

    def _bytes_read(self, table: pd.DataFrame) -> dict[str, int]:
        """What the kernels of a step must read, checked against the memory; empty where nobody knows."""
        if not hasattr(self.bench.engine, "bytes_read"):
            return {}
        read = self.bench.engine.bytes_read()
        check_read_rates(table, read, self.bench.model.device)
        return read


def engine_parts(row: dict) -> dict[str, str]:
    """The implementation's own PARTS {kernel: part}; most engines define none.

    Raises:
        ValueError: PARTS names a part that does not exist.
    """
    named = vars(engines.implementation(row)).get("PARTS", {})
    for part in named.values():
        members(part)
    return named


def kernel_table(launches: list[Launch], parts: list[str]) -> pd.DataFrame:
    """Number and time of the launches of marked steps by step, part and kernel; see COLUMNS."""
    made = [(launch, part) for launch, part in zip(launches, parts, strict=True) if launch.step is not None]
    rows = [(launch.step, part, launch.name, 1, launch.us / 1e3) for launch, part in made]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.groupby(COLUMNS[:3], sort=False, as_index=False).sum()


def _events(profiler: profile) -> list[dict]:
    """The events of the trace; its file is the only form in which torch gives all of them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
