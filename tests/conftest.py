"""Shared by all tests: one thread (several workers share few cores), Triton's interpreter, fixtures."""

import os

import numpy as np
import pytest
import torch
from filelock import FileLock

torch.set_num_threads(1)
if not torch.cuda.is_available():
    # Before anything imports triton, as torch.compile does: its own functions too must be interpreted.
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_modifyitems(items):
    """Tests marked cuda are skipped, with a word, where there is no CUDA device."""
    if not torch.cuda.is_available():
        for item in items:
            if "cuda" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout whose toy study has run to the end; only test_workflow.py may edit it, the others a copy.

    Workers that test side by side wait for one run, and each has a copy of its own.
    """
    from workflow_runner import Checkout

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "finished.lock"):
        if not (shared / "finished").exists():
            running = Checkout.new(tmp_path_factory.mktemp("running"))
            result = running.snakemake()
            assert result.returncode == 0, result.stdout
            running.folder.rename(shared / "finished")
    return Checkout(shared / "finished").copy(tmp_path_factory.mktemp("checkout") / "study")


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
    from sinkbench.engines.speculation import speculator

    captured = []

    def capture(step, rewind):
        captured.append(step)
        for _ in range(2):
            step()
            rewind()
        return step

    for module in (static, fused, speculator):
        monkeypatch.setattr(module, "capture", capture)
    return captured
