"""The fused kernels where there is no CUDA: in Triton's interpreter, with tiles for small shapes."""

import torch
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines.fused import engine, tiles
from sinkbench.engines.fused.tiles import Tile
from sinkbench.model.loading import random_model

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VOCABULARY = 61


class Interpreted(engine.Engine):
    """The engine where there is no CUDA: its step is run as it is, and as often as a capture would."""

    def __init__(self, model, policy):
        self.model, self.policy, self.evaluator, self.pdl = model, policy, Evaluator(model, 16), False
        self.evaluator.kernel = MaskedKernel()
        self._free()


def use_tiles(monkeypatch, rows: int, inputs: int) -> None:
    """Tiles for small shapes, several strips a program, and several splits of few keys.

    Args:
        inputs: of 16 and 32 bits; packed weights keep 128, their least.
    """
    small = {bits: Tile(rows, inputs if bits > 8 else 128, 1, 2, 2) for bits in (32, 16, 8, 4)}
    monkeypatch.setattr(tiles, "TILES", dict.fromkeys(tiles.TILES, small))
    batch = {bits: Tile(16, tile.inputs, 1 if bits == 4 else 2) for bits, tile in small.items()}
    monkeypatch.setattr(tiles, "BATCH_TILES", batch)
    monkeypatch.setattr(tiles, "BLOCK_TILES", dict.fromkeys(tiles.TILES, batch))
    for name, value in {"SPLIT_KEYS": 4, "KEY_ELEMENTS": 40}.items():  # two of 20 dimensions at a time
        for blocks in ("", "_OF_BLOCKS"):
            monkeypatch.setattr(tiles, name + blocks, dict.fromkeys(small, value))
    monkeypatch.setattr(tiles, "FIRST_OF_BLOCKS", 2)
    if DEVICE == "cpu":  # where there are no matrix units
        monkeypatch.setattr(tiles, "LEAST_KEYS_OF_BLOCKS", 1)
    monkeypatch.setattr(tiles, "ASKING", 1)  # they ask a cache that is not there


def model_of(**changes):
    """Random weights of 3 heads of 20 dimensions, 4 of them rotary, with norms that do something."""
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 60,
        "num_attention_heads": 3,
        "num_hidden_layers": 1,
        "intermediate_size": 100,
        "initializer_range": 0.4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.2},
    }
    model = random_model(shape | changes, 0, torch.float32, DEVICE).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model
