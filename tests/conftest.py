"""Shared by all tests: one thread and one core a worker, Triton's interpreter, fixtures."""

import os
import re

import numpy as np
import pytest
import torch

torch.set_num_threads(1)
if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):
    # A core for each worker and all that it starts: threads that wait for each other would spin for minutes.
    cores = sorted(os.sched_getaffinity(0))
    worker = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    os.sched_setaffinity(0, {cores[worker % len(cores)]})
if not torch.cuda.is_available():
    # Before anything imports triton, as torch.compile does: its own functions too must be interpreted.
    os.environ["TRITON_INTERPRET"] = "1"


FORBIDDEN = re.compile(
    r"\n|Traceback|<class |<[\w.]+ object at|\bPosixPath\(|\bdtype\(|\['\w*'[,\]]|\{'\w+'|has no attribute"
    r"|(?<![\w'-])(None|True|False)(?![\w'-])|\b[A-Z]\w*(Error|Exception)\b"
)


@pytest.fixture
def forbidden():
    """What no message to a user may hold."""
    return FORBIDDEN


@pytest.fixture(autouse=True, scope="session")
def _messages():
    """Judge every message to a user that any test provokes in this process."""
    from sinkbench.errors import UserError

    def judged(self, *said):
        Exception.__init__(self, *said)
        assert not FORBIDDEN.search(str(self)), f"a message that shows Python: {self}"

    UserError.__init__ = judged


def pytest_itemcollected(item):
    """Skip what needs a CUDA device and has none; one worker takes all that needs the finished study."""
    if "cuda" in item.keywords and not torch.cuda.is_available():
        item.add_marker(pytest.mark.skip(reason="no CUDA device"))
    if "finished" in item.fixturenames:
        item.add_marker(pytest.mark.xdist_group("finished"))


def pytest_collection_modifyitems(items):
    """Begin with what needs the finished study: it takes longest."""
    items.sort(key=lambda item: "finished" not in item.fixturenames)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout whose toy study has run to the end; tests edit copies of it."""
    from workflow_runner import Checkout

    checkout = Checkout.new(tmp_path_factory.mktemp("checkout") / "finished")
    result = checkout.snakemake()
    assert result.returncode == 0, result.stdout
    return checkout


@pytest.fixture(scope="session")
def tiny():
    """A random GPT-NeoX of 3 layers, and what the reference implementation makes of 400 tokens."""
    from helpers import FIXTURE
    from sinkbench.model.loading import load_model

    return load_model({"source": "folder", "path": FIXTURE, "dtype": "float32"}, "cpu")


@pytest.fixture(scope="session")
def known():
    """Arrays of tests/fixtures/neox-tiny/nll.npz: tokens, and NLLs by name of the rule that made them."""
    from helpers import FIXTURES

    with np.load(FIXTURES / "neox-tiny/nll.npz") as arrays:
        return {name: arrays[name] for name in arrays}


@pytest.fixture
def tokens_path(tmp_path, known):
    """The token file that timing jobs of speed_jobs.SETTINGS read."""
    from speed_jobs import write_tokens

    return write_tokens(tmp_path / "tokens.parquet", known["tokens"].astype(int).tolist())


@pytest.fixture
def captures(monkeypatch):
    """Steps that engines captured: each is warmed up on the live state, as by a capture, and stays a step."""
    from sinkbench.engines import static
    from sinkbench.engines.fused import engine as fused
    from sinkbench.engines.speculation import lookup, speculator

    captured = []

    def capture(step, rewind):
        captured.append(step)
        for _ in range(2):
            step()
            rewind()
        return step

    for module in (static, fused, lookup, speculator):
        monkeypatch.setattr(module, "capture", capture)
    return captured
