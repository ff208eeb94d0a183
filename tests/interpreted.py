"""The fused kernels where there is no CUDA: in Triton's interpreter, with tiles for small shapes."""

from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines.fused import engine, tiles
from sinkbench.engines.fused.tiles import Tile


class Interpreted(engine.Engine):
    """The engine where there is no CUDA: its step is run as it is, and as often as a capture would."""

    def __init__(self, model, policy):
        self.model, self.policy, self.evaluator, self.pdl = model, policy, Evaluator(model, 16), False
        self.evaluator.kernel = MaskedKernel()
        self.reset()


def use_tiles(monkeypatch, rows: int, inputs: int) -> None:
    """Tiles for small shapes, several strips a program, and several splits of few keys.

    Args:
        inputs: of 16 and 32 bits; packed weights keep 128, their least.
    """
    small = {bits: Tile(rows, inputs if bits > 8 else 128, 1, 2, 2) for bits in (32, 16, 8, 4)}
    monkeypatch.setattr(tiles, "TILES", dict.fromkeys(tiles.TILES, small))
    batch = {bits: Tile(16, tile.inputs, 4) for bits, tile in small.items()}
    monkeypatch.setattr(tiles, "BATCH_TILES", batch)
    monkeypatch.setattr(tiles, "BLOCK_KEYS", dict.fromkeys(small, 4))
    monkeypatch.setattr(tiles, "SPLIT_KEYS", dict.fromkeys(small, 4))
    monkeypatch.setattr(tiles, "ASKING", 1)  # they ask a cache that is not there
