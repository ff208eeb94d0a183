"""Tiles of the fused kernels, as measured on one NVIDIA H200 at Pythia-2.8b's shape; see SHAPES for others.

Other cards and shapes compute the same; they may be a little faster with other numbers.
"""

from dataclasses import dataclass, replace

from triton import cdiv, next_power_of_2


@dataclass(frozen=True)
class Tile:
    """Work of one program of a matrix kernel.

    Args:
        rows, inputs: of a tile of weights; 4-bit weights need a multiple of 128 inputs.
        warps: of the program; for several columns each needs 16 words of packed weights, or 16 inputs.
        stages: depth of its pipeline of tiles.
        strips: as many times `rows` are computed one after another, where rows are read whole.
        registers: at most, per thread; None leaves it to the compiler.
    """

    rows: int
    inputs: int
    warps: int
    stages: int = 3
    strips: int = 1
    registers: int | None = None

    @property
    def all_rows(self) -> int:
        """Rows of a program."""
        return self.rows * self.strips


# By kernel and bits per weight. `in` is query, key, value, and the MLP's first half; `out` the other two.
TILES = {
    "in": {
        4: Tile(4, 1024, 1, 2, strips=2),
        8: Tile(2, 512, 1, 2, strips=2),
        16: Tile(2, 512, 1, 2, strips=2),
        32: Tile(2, 256, 1),
    },
    "out": {
        4: Tile(4, 2048, 2),
        8: Tile(4, 1024, 2, registers=168),
        16: Tile(4, 256, 2, stages=5),
        32: Tile(4, 512, 4),
    },
    "head": {4: Tile(8, 512, 4), 8: Tile(8, 512, 4), 16: Tile(2, 512, 1, 2), 32: Tile(4, 512, 4)},
}
# A batch runs on the matrix units.
BATCH_TILES = {4: Tile(16, 512, 2), 8: Tile(16, 256, 2), 16: Tile(16, 256, 1, 4), 32: Tile(16, 64, 2)}
# So does a block of tokens of one stream: as measured for blocks of 5 on H200s; 32 bits take a batch's.
BLOCK_TILES = {
    "in": {
        4: Tile(16, 512, 2),
        8: Tile(16, 256, 2, registers=168),
        16: Tile(8, 256, 1, 5),
        32: Tile(16, 64, 2),
    },
    "out": {
        4: Tile(16, 1024, 4),
        8: Tile(8, 512, 2, 5),
        16: Tile(8, 512, 4, 5),
        32: Tile(16, 64, 2),
    },
    "head": {
        4: Tile(16, 512, 2),
        8: Tile(16, 256, 2),
        16: Tile(16, 512, 4),
        32: Tile(16, 64, 2),
    },
}
# By bits per weight of the MLP, whose programs attention shares a launch, and its registers, with.
SPLIT_KEYS = {4: 128, 8: 64, 16: 64, 32: 64}  # keys per program and stream (of 8 streams at most), as long as
MOST_SPLITS = 64  # is not exceeded
KEY_ELEMENTS = dict.fromkeys((4, 8, 16, 32), 2560)  # of a head's keys at a time, as of values: 32 keys of 80
# The same two for blocks of tokens.
SPLIT_KEYS_OF_BLOCKS = {4: 160, 8: 160, 16: 160, 32: 64}
KEY_ELEMENTS_OF_BLOCKS = {4: 2560, 8: 2560, 16: 2560, 32: 1280}
FIRST_OF_BLOCKS = 1  # tiles that a program asks for before their inputs are there; for a batch none
LEAST_KEYS_OF_BLOCKS = 16  # the matrix units take no fewer
WIDEST = 2560  # inputs of a row that as many warps as a tile says can hold
LEAD = {4: 0.15, 8: 0.3, 16: 0.3, 32: 0.3}  # share of the MLP's programs that start before attention's
# Of the next layer's weights, that a layer asks the L2 cache for as it ends.
ASKED_BYTES = {4: 4 << 20, 8: 4 << 20, 16: 3 << 20, 32: 2 << 20}
# Percent of a multiprocessor's memory that kernels of layers get as shared memory; None leaves it to the
# driver. As measured on one H100 for one token, all kernels at once; pipelines of several tokens need more.
CARVEOUTS = {4: 32, 8: None, 16: 16, 32: None}
# By kernel or name above, what differs for one token of one stream in 16 bits (all weights), at a width and
# dimensions of a head: as measured at those of Pythia-160m, 410m, 1.4b, 1b and 6.9b.
SHORT = {"in": Tile(4, 512, 1, 2), "out": Tile(4, 512, 2, stages=5), "head": Tile(4, 512, 1, 2)}  # rows
SHAPES = {
    (768, 64): SHORT | {"KEY_ELEMENTS": 4096},
    (1024, 64): SHORT | {"KEY_ELEMENTS": 4096, "SPLIT_KEYS": 32},
    (2048, 128): {"KEY_ELEMENTS": 5120, "LEAD": 0.15},
    (2048, 256): {"in": Tile(2, 512, 1, 2, strips=4), "SPLIT_KEYS": 32},
    (4096, 128): {"KEY_ELEMENTS": 10240},
}
ASKING = 256  # programs that do nothing else, while a step begins


def own_of(width: int, head_dim: int, pdl: bool) -> dict:
    """What SHAPES says of a shape.

    Without PDL, as before compute capability 9.0, keys at a time are the table's: more spill registers there.
    """
    own = SHAPES.get((width, head_dim), {})
    return {name: value for name, value in own.items() if pdl or name != "KEY_ELEMENTS"}


def tile_of(kernel: str, bits: int, width: int, batch: int, several: bool, own: dict) -> Tile:
    """The tile of a kernel whose weights have `bits` bits, for streams or `several` tokens of one.

    One stream's programs hold rows of the model's width whole: wider ones share them among more warps.
    """
    if batch == 1:
        tile = own.get(kernel, TILES[kernel][bits])
        return replace(tile, warps=tile.warps * next_power_of_2(cdiv(width, WIDEST)))
    return BLOCK_TILES[kernel][bits] if several else BATCH_TILES[bits]


def keys_at_a_time(bits: int, head_dim: int, several: bool, own: dict) -> int:
    """Keys of a head that a program reads at a time: a power of two, as many as KEY_ELEMENTS hold."""
    elements, least = own.get("KEY_ELEMENTS", KEY_ELEMENTS[bits]), 1
    if several:
        elements, least = KEY_ELEMENTS_OF_BLOCKS[bits], LEAST_KEYS_OF_BLOCKS
    return 1 << max(least, elements // head_dim).bit_length() - 1


def splits_of(slots: int, bits: int, batch: int, several: bool, own: dict) -> int:
    """Programs per head, whose parts the last one adds up.

    For a block they are a power of two, and one of them has no keys of the ring but takes the block itself.
    """
    if several:
        return min(next_power_of_2(cdiv(slots, SPLIT_KEYS_OF_BLOCKS[bits]) + 1), MOST_SPLITS)
    each = own.get("SPLIT_KEYS", SPLIT_KEYS[bits]) * min(batch, 8)
    return min(cdiv(slots, each), MOST_SPLITS)
