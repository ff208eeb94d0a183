"""The same machine and the same config give the same NLLs: bit for bit on a CPU, and what a GPU promises."""

import json
import os
import subprocess
import sys

import pytest
import torch
from helpers import FIXTURES, ROOT
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
from sinkbench.scoring_threads import use_cores_to_score
use_cores_to_score("cpu", 1)
measure(json.loads(sys.argv[1]), *sys.argv[2:])
"""
METHODS = {
    "dense": {"max_tokens": 250},
    "streaming": {"budget": 32, "sinks": 4},
    "select": {"budget": 32, "sinks": 4, "refresh_every": 4, "lookback": 64, "selected_tokens": 12},
}
SPREAD = {"float32": 1e-5, "bfloat16": 0.05}  # mean nats: what another order of the same sums explains


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("policy", METHODS)
def test_two_processes_give_bit_equal_nlls_on_a_cpu(policy, dtype, tmp_path):
    tokens = token_settings(tmp_path / "in", {"a": "The quick brown fox jumps over the lazy dog. " * 6})
    tokenize(tokens, str(tmp_path / "tokens.parquet"), str(tmp_path / "tokens.json"))
    settings = {"label": "quality", "model": MODEL | {"dtype": dtype}, "device": "cpu", "policy": policy}
    settings |= {
        "options": METHODS[policy],
        "quantization": format_row("none"),
        "chunk_tokens": 64,
        "tokens": tokens,
    }
    for name in ("one", "two"):
        paths = [str(tmp_path / "tokens.parquet"), str(tmp_path / f"{name}.parquet")]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
        subprocess.run([sys.executable, "-c", JOB, json.dumps(settings), *paths], env=environment, check=True)
    (one, notes), (two, _) = (read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
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
