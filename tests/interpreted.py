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


def use_small_tiles(monkeypatch) -> None:
    """Tiles that do not divide the shapes, several strips a program, and several splits of few keys."""
    small = {bits: Tile(8, 32, 1, 2, 2) for bits in (32, 16)} | {
        bits: Tile(8, 128, 1, 2, 2) for bits in (8, 4)
    }
    monkeypatch.setattr(tiles, "TILES", dict.fromkeys(tiles.TILES, small))
    monkeypatch.setattr(
        tiles, "BATCH_TILES", {bits: Tile(16, tile.inputs, 4) for bits, tile in small.items()}
    )
    monkeypatch.setattr(tiles, "BLOCK_KEYS", dict.fromkeys(small, 4))
    monkeypatch.setattr(tiles, "SPLIT_KEYS", dict.fromkeys(small, 4))
