"""The same machine and the same config give the same NLLs: bit for bit on a CPU, and what a GPU promises."""

import json
import os
import subprocess
import sys

import pytest
import torch
from helpers import CODE, FIXTURES, ROOT
from sinkbench import policies
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.model.loading import load_model
from sinkbench.quantization.table import format_row
from sinkbench.text.tokens import tokenize
from tiny_texts import token_settings

MODEL = {"source": "folder", "path": str(FIXTURES / "neox-tiny")}
# A job as the workflow starts it: on one core, in a process of its own.
JOB = """
import json, sys
from sinkbench.measure.quality import measure
from sinkbench.runtime.threads import use_cores_to_score
use_cores_to_score("cpu", 1)
tokens, folder = sys.argv[2:]
for name, settings in json.loads(sys.argv[1]).items():
    measure(settings, tokens, f"{folder}/{name}.parquet")
"""
METHODS = {
    "dense": {"max_tokens": 250},
    "streaming": {"budget": 32, "sinks": 4},
    "select": {"budget": 32, "sinks": 4, "refresh_every": 4, "lookback": 64, "selected_tokens": 12},
}
SPREAD = {"float32": 1e-5, "bfloat16": 0.05}  # mean nats: what another order of the same sums explains


@pytest.fixture(scope="module")
def scored_twice(tmp_path_factory):
    """Folders in which two processes have scored one text by every method in every dtype."""
    folder = tmp_path_factory.mktemp("scored")
    tokens = token_settings(folder / "in", {"a": "The quick brown fox jumps over the lazy dog. " * 6})
    tokenize(tokens, str(folder / "tokens.parquet"), str(folder / "tokens.json"))
    jobs = {f"{policy}-{dtype}": settings_of(policy, dtype, tokens) for policy in METHODS for dtype in SPREAD}
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    for name in ("one", "two"):
        paths = [str(folder / "tokens.parquet"), str(folder / name)]
        subprocess.run([sys.executable, "-c", JOB, json.dumps(jobs), *paths], env=environment, check=True)
    return folder / "one", folder / "two"


def settings_of(policy: str, dtype: str, tokens: dict) -> dict:
    settings = {"label": "quality", "model": MODEL | {"dtype": dtype}, "device": "cpu", "policy": policy}
    scoring = {"quantization": format_row("none"), "chunk_tokens": 64, "tokens": tokens, "code": CODE}
    return settings | scoring | {"options": METHODS[policy]}


@pytest.mark.parametrize("dtype", SPREAD)
@pytest.mark.parametrize("policy", METHODS)
def test_two_processes_give_bit_equal_nlls_on_a_cpu(policy, dtype, scored_twice):
    (one, notes), (two, _) = (read_table(folder / f"{policy}-{dtype}.parquet") for folder in scored_twice)
    assert notes["status"] == "ok" and len(one) > 200
    assert one["nll"].to_numpy().tobytes() == two["nll"].to_numpy().tobytes()


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", SPREAD)
@pytest.mark.parametrize("policy", METHODS)
def test_a_gpu_repeats_its_nlls_or_shows_its_spread(policy, dtype, known):
    """Neither torch nor its kernels promise equal bits there; `pytest -s` shows what this card gives."""
    model = load_model(MODEL | {"dtype": dtype}, "cuda")
    text = torch.from_numpy(known["tokens"].astype("int64")).cuda()
    evaluator, method = Evaluator(model, 64), policies.build(policy, METHODS[policy])
    scored = method.positions(len(text))
    first, second = (method.nll_at(evaluator, text, scored).double() for _ in range(2))
    gap = (first - second).abs()
    print(f"{policy} {dtype}: {int((gap > 0).sum())} of {len(gap)} NLLs differ, at most {gap.max():.1e} nats")
    assert gap.mean() <= SPREAD[dtype]
