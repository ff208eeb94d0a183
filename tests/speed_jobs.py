"""What tests of timing jobs share: the settings of a small one, its text, and an engine that counts."""

from pathlib import Path

import pandas as pd
import torch
from helpers import CODE, FIXTURE
from sinkbench.artifacts.fingerprint import stamp_of
from sinkbench.artifacts.parquet import write_table
from sinkbench.engines.table import engine_row
from sinkbench.quantization.table import format_row
from sinkbench.text.tokens import _row

SETTINGS = {
    "label": "speed test",
    "model": {"source": "folder", "path": FIXTURE, "dtype": "float32"},
    "device": "cpu",
    "policy": "streaming",
    "options": {"budget": 32, "sinks": 4},
    "quantization": format_row("none"),
    "engine": engine_row("eager"),
    "batch": 1,
    "chunk_tokens": 64,
    "tokens": {"corpus": "text", "code": CODE},
    "code": CODE,
    "speed": {
        "kind": "position",
        "points": [40, 80],
        "warmup": 1,
        "steps": 3,
        "repetitions": 2,
        "check_tokens": 20,
    },
}


class CountingEngine:
    """Counts calls; always says token 7."""

    def __init__(self):
        self.prompts, self.steps = [], []

    def prefill(self, prompts, max_new_tokens):
        self.prompts.append(prompts.shape[1])
        self.room = max_new_tokens
        return torch.eye(8)[7:]

    def step(self, tokens):
        self.steps.append(tokens.tolist())
        return torch.eye(8)[7:]


def write_tokens(path: Path, *documents: list[int]) -> Path:
    """A token file of SETTINGS with these documents."""
    rows = [_row(f"text {number}", ids) for number, ids in enumerate(documents)]
    write_table(path, pd.DataFrame(rows), stamp_of(SETTINGS["tokens"]))
    return path
