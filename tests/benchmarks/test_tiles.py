"""The search for tiles: what it tries, what it keeps, and that a step can be built with what it tries."""

import sys

import pytest
import torch
from helpers import ROOT
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.weights import FusedWeights
from sinkbench.model.loading import random_model
from sinkbench.policies import Visibility

sys.path.append(str(ROOT / "benchmarks"))

import tiles as benchmark


class Pool:
    """Processes that compile nothing."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def starmap(self, *_, **__):
        pass


def options(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["tiles.py", *words])
    return benchmark.parse()


@pytest.mark.parametrize("words", [(), ("--quantization", "int4_mlp"), ("--batch", "4")])
def test_every_change_names_a_constant_of_the_kernels(monkeypatch, words):
    chosen = options(monkeypatch, *words)
    state = {name: getattr(benchmark.tiles, name) for name in ("TILES", "BATCH_TILES")}
    state |= {name: getattr(benchmark.tiles, name) for name in (*benchmark.ATTENTION, *benchmark.SEQUENCE)}
    tried = [change for changes in benchmark.rounds(chosen) for change in changes]
    assert tried
    for change in tried:
        assert benchmark.changed(state, *change).keys() == state.keys()


def test_the_matrix_units_take_every_tile_of_several_columns():
    """A part of a tile is what a warp multiplies; attention's projection has the inputs of `in`."""
    kept, fits = benchmark.tiles, benchmark.fits_the_matrix_units
    assert all(fits(tile.inputs, tile.warps, bits) for bits, tile in kept.BATCH_TILES.items())
    for of_kernel in kept.BLOCK_TILES.values():
        assert all(fits(tile.inputs, tile.warps, bits) for bits, tile in of_kernel.items())
    for dense, down in ((16, 16), (16, 8), (16, 4), (8, 8), (4, 4), (32, 32), (32, 8), (32, 4)):
        warps = kept.BLOCK_TILES["out"][down].warps
        assert fits(kept.BLOCK_TILES["in"][dense].inputs, warps, dense)
    assert not fits(128, 2, 4) and not fits(128, 4, 8) and fits(64, 4, 16)


def test_a_step_of_another_size_has_its_shape(monkeypatch):
    monkeypatch.setattr(benchmark, "load_model", lambda settings, _: settings["shape"])
    monkeypatch.setattr(benchmark, "apply_format", lambda _, shape: shape)
    monkeypatch.setattr(benchmark, "FusedRing", lambda *_, **__: None)
    monkeypatch.setattr(benchmark, "FusedWeights", lambda _: None)
    make = benchmark.model_and_ring.__wrapped__
    study, small = (make(size, "none", 1, 0, 2048, 4, None)[0] for size in ("2.8b", "160m"))
    assert study == benchmark.read_study()["model"]["shape"]  # which is Pythia-2.8b's
    assert small == study | benchmark.SIZES["160m"] and small["num_hidden_layers"] == 12


@pytest.mark.parametrize("size", ["160m", "1b", "1.4b", "2.8b"])
def test_the_search_begins_with_what_a_size_has(monkeypatch, size):
    """Whose row of SHAPES then stands in the tables, where it counts."""
    monkeypatch.setattr(benchmark, "launches_overlap", lambda _: True)
    kept, state = benchmark.tiles, benchmark.state_of(options(monkeypatch, "--size", size))
    width, heads = (benchmark.SIZES[size][key] for key in ("hidden_size", "num_attention_heads"))
    own = kept.SHAPES.get((width, width // heads), {})
    assert not state["SHAPES"] and bool(own) == (size != "2.8b")
    for kernel in kept.TILES:
        assert state["TILES"][kernel][16] == kept.tile_of(kernel, 16, width, 1, False, own)
    for name in ("KEY_ELEMENTS", "SPLIT_KEYS", "LEAD"):
        assert state[name] == getattr(kept, name) | ({16: own[name]} if name in own else {})
    batch = benchmark.state_of(options(monkeypatch, "--size", size, "--batch", "4"))
    assert batch["TILES"] == kept.TILES and not batch["SHAPES"]


def test_more_keys_at_a_time_are_for_launches_that_overlap():
    for width, head_dim in (768, 64), (4096, 128), (2048, 256):
        many, few = (benchmark.tiles.own_of(width, head_dim, pdl) for pdl in (True, False))
        assert few == {name: value for name, value in many.items() if name != "KEY_ELEMENTS"}


def test_rows_of_shapes_are_those_of_pythias_and_name_what_there_is():
    kept = benchmark.tiles
    sizes = [
        (row["hidden_size"], row["hidden_size"] // row["num_attention_heads"])
        for row in benchmark.SIZES.values()
    ]
    assert {*kept.SHAPES} <= {*sizes}
    names = {*kept.TILES, "KEY_ELEMENTS", "SPLIT_KEYS", "LEAD"}
    assert all(row.keys() <= names for row in kept.SHAPES.values())


def test_the_fastest_is_kept(monkeypatch, capsys):
    """One round of two changes, of which the second makes steps faster."""
    chosen = options(monkeypatch)
    bits = benchmark.bits_of(chosen)[:1]
    monkeypatch.setattr(benchmark, "check_device", lambda: None)
    monkeypatch.setattr(benchmark, "launches_overlap", lambda _: True)
    monkeypatch.setattr(benchmark.multiprocessing, "get_context", lambda _: type("C", (), {"Pool": Pool}))
    monkeypatch.setattr(benchmark, "rounds", lambda _: [[("SPLIT_KEYS", bits, 64), ("SPLIT_KEYS", bits, 32)]])
    monkeypatch.setattr(benchmark, "step_ms", lambda _, state: state["SPLIT_KEYS"][bits[0]] / 64)
    benchmark.main()
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == [f"1.0000 ms {('SPLIT_KEYS', bits, 64)}", f"0.5000 ms {('SPLIT_KEYS', bits, 32)}"]
    assert said[-1].startswith("0.5000 ms with ")


@pytest.mark.slow
def test_a_step_is_built_and_timed(monkeypatch):
    """With one layer, interpreted kernels, and nothing captured."""
    shape = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = random_model(shape | {"intermediate_size": 128}, 0, torch.float32, "cpu")
    ring = FusedRing(model, Visibility(4, 28), 1)
    monkeypatch.setattr(benchmark, "model_and_ring", lambda *_: (model, FusedWeights(model), ring))
    monkeypatch.setattr(benchmark, "capture", lambda step, rewind: step)
    for name in ("REPLAYS", "REPETITIONS"):
        monkeypatch.setattr(benchmark, name, 1)
    assert 0 < benchmark.step_ms(options(monkeypatch), {"TILES": benchmark.tiles.TILES}) < float("inf")
