"""Find the tiles of the fused kernels (engines/fused/tiles.py) that are fastest on this card.

    python benchmarks/tiles.py                          # bfloat16, Pythia-2.8b's shape, 4 + 2044, one stream
    python benchmarks/tiles.py --quantization int8_mlp
    python benchmarks/tiles.py --batch 16
    python benchmarks/tiles.py --block 5                # five tokens of one stream, as drafts are verified
    python benchmarks/tiles.py --size 160m              # another Pythia, such as one that drafts

Times whole steps in a CUDA graph (device time, median of repetitions), changes one thing after the other and
keeps what is faster. What a round tries is compiled beforehand in processes of their own.
"""

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import product
from statistics import median

import torch
from library import SIZES, check_device, read_study, replay_ms  # puts the library on the path
from sinkbench.engines.fused import tiles
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.step import FusedStep
from sinkbench.engines.fused.tiles import Tile
from sinkbench.engines.fused.weights import FusedWeights
from sinkbench.measure.outcome import failure
from sinkbench.model.loading import load_model
from sinkbench.policies import Visibility
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import FORMATS, format_row
from sinkbench.runtime.cuda_graph import capture
from sinkbench.runtime.device import launches_overlap

FAR = 10_000  # stream position: the ring is full
REPETITIONS, REPLAYS = 3, 20
# Values of tiles' constants, by bits of the MLP: of attention, tried first, and of how launches and their
# parts follow each other, which the tiles decide.
ATTENTION = {"KEY_ELEMENTS": (1280, 2560, 4096, 5120, 10240), "SPLIT_KEYS": (32, 64, 128, 256)}
SEQUENCE = {
    "LEAD": (0.0, 0.15, 0.3, 0.45, 0.6),
    "ASKED_BYTES": (0, 1 << 20, 2 << 20, 3 << 20, 4 << 20, 8 << 20),
}
OF_BLOCKS = {"KEY_ELEMENTS_OF_BLOCKS": (1280, 2560, 5120), "SPLIT_KEYS_OF_BLOCKS": (80, 160, 320)}
NAMES = ("SHAPES", "TILES", "BATCH_TILES", "BLOCK_TILES", *ATTENTION, *OF_BLOCKS, *SEQUENCE)
REGISTERS = [{"registers": count} for count in (96, 128, 168, 200)]  # of the tile found best
READ = [name for name, row in FORMATS.items() if row["implementation"] in (None, "weight_only")]
State = dict  # name in tiles: value


def main() -> None:
    options = parse()
    check_device()
    state = state_of(options)
    best = step_ms(options, state)
    print(f"{best:.4f} ms as it is", flush=True)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for tried in rounds(options):
            states = [changed(state, *change) for change in tried]
            pool.starmap(compile_step, [(options, other) for other in states], chunksize=1)
            for change, other in zip(tried, states, strict=True):
                ms = step_ms(options, other)
                print(f"{ms:.4f} ms {change}", flush=True)
                if ms < best:
                    best, state = ms, other
    print(f"\n{best:.4f} ms with {state}")


def state_of(options: argparse.Namespace) -> State:
    """The tables, with what SHAPES says of such a step written into the others."""
    state = {name: deepcopy(getattr(tiles, name)) for name in NAMES}
    width, heads = (SIZES[options.size][key] for key in ("hidden_size", "num_attention_heads"))
    alone = options.quantization == "none" and options.batch == 1 and options.block <= 1
    own = tiles.own_of(width, width // heads, launches_overlap(torch.device("cuda"))) if alone else {}
    for name, value in own.items():
        (state["TILES"].get(name) or state[name])[16] = value
    state["SHAPES"] = {}
    return state


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quantization", default="none", choices=READ)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--block", type=int, default=0, help="tokens of the one stream; 0: a plain step")
    parser.add_argument("--size", choices=SIZES, default="2.8b", help="of the Pythia")
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--sinks", type=int, default=4)
    parser.add_argument("--processes", type=int, default=max(1, os.cpu_count() - 1), help="that compile")
    return parser.parse_args()


def rounds(options: argparse.Namespace) -> Iterator[list[tuple]]:
    """Lists of changes (name in tiles, keys in it, value), each list tried on the best of those before.

    A value for a tile may be some of its fields.
    """
    bits = bits_of(options)
    for name, values in (OF_BLOCKS if options.block else ATTENTION).items():
        yield [(name, bits[:1], value) for value in values]
    if options.block > 1:
        for kernel, width in [*product(("out", "in"), bits), ("head", bits[-1])]:
            yield [("BLOCK_TILES", (kernel, width), tile) for tile in batch_tiles(width)]
    elif options.batch > 1:
        yield from ([("BATCH_TILES", (width,), tile) for tile in batch_tiles(width)] for width in bits)
    else:
        tried = [("in", width, in_tiles(width)) for width in bits]
        tried += [("out", bits[0], out_tiles()), ("head", bits[-1], head_tiles())]
        for kernel, width, some in tried:
            yield [("TILES", (kernel, width), tile) for tile in some]
            yield [("TILES", (kernel, width), registers) for registers in REGISTERS]
    for name, values in SEQUENCE.items():
        yield [(name, bits[:1], value) for value in values]


def in_tiles(bits: int) -> list[Tile]:
    inputs = 1024 if bits == 4 else 512  # 16 bytes of packed weights for every thread
    sizes = product((1, 2, 4), (1, 2), (1, 2, 4))
    return [Tile(rows, inputs, warps, 2, strips) for rows, warps, strips in sizes]


def out_tiles() -> list[Tile]:
    sizes = product((4, 8), (256, 512, 1024, 2048), (1, 2, 4), (3, 5))
    return [Tile(*size) for size in sizes if 16 <= size[0] * size[1] / (32 * size[2]) <= 64]


def head_tiles() -> list[Tile]:
    return [Tile(rows, 512, warps, 2) for rows, warps in product((2, 4), (1, 2))]


def batch_tiles(bits: int) -> list[Tile]:
    sizes = product((8, 16, 32), (128, 256, 512), (1, 2, 4), (3, 5))
    tiles = [Tile(*size) for size in sizes if 512 * (16 / bits) <= size[0] * size[1] / size[2] <= 4096]
    return [tile for tile in tiles if fits_the_matrix_units(tile.inputs, tile.warps, bits)]


def fits_the_matrix_units(inputs: int, warps: int, bits: int) -> bool:
    """Whether each warp has 16 inputs of a tile, or words of packed ones."""
    return inputs * (bits if bits < 16 else 32) // 32 // warps >= 16


def bits_of(options: argparse.Namespace) -> list[int]:
    """Widths of the weights that the step reads, the narrowest first."""
    word = options.quantization
    narrow = [int(word.removeprefix("int").removesuffix("_mlp"))] if word != "none" else []
    return narrow + ([16] if word == "none" or word.endswith("_mlp") else [])


def changed(state: State, name: str, keys: tuple, value) -> State:
    state = deepcopy(state)
    *outer, last = keys
    inner = state[name]
    for key in outer:
        inner = inner[key]
    inner[last] = replace(inner[last], **value) if isinstance(value, dict) else value
    return state


def build(options: argparse.Namespace, state: State, layers: int | None) -> FusedStep:
    """A step with the tiles of `state`, of all layers (None) or of some."""
    for name, value in state.items():
        setattr(tiles, name, value)
    chosen = options.size, options.quantization, options.batch, options.block, options.budget, options.sinks
    model, weights, ring = model_and_ring(*chosen, layers)
    ring.position = FAR
    step = FusedStep(model, ring, launches_overlap(model.device), block=options.block, weights=weights)
    step.begin()
    return step


@cache
def model_and_ring(
    size: str, quantization: str, batch: int, block: int, budget: int, sinks: int, layers: int | None
):
    settings = read_study()["model"]
    settings["shape"] |= SIZES[size]
    if layers is not None:
        settings["shape"] |= {"num_hidden_layers": layers}
    model = apply_format(format_row(quantization), load_model(settings, "cuda"))
    ring = FusedRing(model, Visibility(sinks, budget - sinks), batch, block=max(1, block))
    return model, FusedWeights(model), ring


@torch.inference_mode()
def compile_step(options: argparse.Namespace, state: State) -> None:
    """Leave the kernels of a step in Triton's cache; what does not compile will say so when it is timed."""
    try:
        build(options, state, layers=1)()
        torch.cuda.synchronize()
    except Exception as error:
        if failure(error) is None:
            raise


@torch.inference_mode()
def step_ms(options: argparse.Namespace, state: State) -> float:
    """Milliseconds of a step; infinity for one that the card cannot make."""
    try:
        step = build(options, state, layers=None)
        replay = capture(step, rewind=lambda: step.position.sub_(max(1, options.block)))
    except Exception as error:
        if failure(error) is None:
            raise
        return float("inf")
    return median(replay_ms(replay, REPLAYS, step.position.device) for _ in range(REPETITIONS))


if __name__ == "__main__":
    main()
