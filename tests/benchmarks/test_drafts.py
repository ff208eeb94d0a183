"""Benchmarks of what drafts cost: they need a GPU, and what they compute beside the times needs none."""

import argparse
import sys
from importlib import import_module

import pytest
import torch
from helpers import ROOT
from sinkbench.model.loading import random_model

sys.path.append(str(ROOT / "benchmarks"))
dialled, verify_cost = import_module("dialled"), import_module("verify_cost")


@pytest.mark.parametrize("benchmark", [dialled, verify_cost])
def test_without_a_gpu_one_line_says_so(benchmark, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", [benchmark.__name__])
    with pytest.raises(SystemExit, match=r"^error: a CUDA GPU is needed, and torch finds none$"):
        benchmark.main()


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.8, 1.0])
def test_at_break_even_a_round_gives_what_it_costs(acceptance):
    tokens = sum(acceptance**place for place in range(5))
    assert dialled.break_even(4, tokens) == pytest.approx(acceptance, abs=1e-9)


@pytest.mark.parametrize("cost", [0.9, 5.1])
def test_some_rounds_never_break_even(cost):
    assert dialled.break_even(4, cost) != dialled.break_even(4, cost)


def test_a_dialled_draft_stays_as_often_as_asked():
    rule, scores, kept = dialled.Dialled(3, 0.6, torch.device("cpu")), torch.eye(4, 9), []
    for _ in range(4000):
        rule.renew()
        accepted, following = rule.verify(torch.zeros(3, dtype=torch.long), scores[:3], scores)
        assert following == accepted  # the likeliest id of the row behind the last draft that stayed
        kept.append(int(accepted))
    assert sum(kept) / len(kept) == pytest.approx(0.6 + 0.6**2 + 0.6**3, abs=0.06)


def test_a_curve_has_the_plain_step_and_every_size(monkeypatch):
    monkeypatch.setattr(verify_cost, "capture", lambda step, rewind=None: step)
    read = []
    monkeypatch.setattr(
        verify_cost, "timed", lambda replay, repetitions: read.append(replay()) or {"ms": 1.0}
    )
    shape = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = random_model(shape | {"intermediate_size": 128}, 0, torch.float32, "cpu")
    with torch.inference_mode():
        rows = verify_cost.curve(model, "none", "graph", 24, argparse.Namespace(tokens=[1, 3], repetitions=1))
    assert [row["tokens"] for row in rows] == ["plain", "1", "3"] and len(read) == 3
    assert {row["relative"] for row in rows} == {1.0}
