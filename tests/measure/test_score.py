"""The score of an engine: distances to the exact evaluator in the model's dtype and in float32."""

import copy

import pytest
import torch
from helpers import FIXTURE
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable
from sinkbench.measure import score as scoring
from sinkbench.measure import speed
from sinkbench.measure.bench import Bench
from sinkbench.measure.speculation import timer
from sinkbench.model.loading import random_model
from sinkbench.model.widened import is_wide, widened
from sinkbench.policies import Visibility
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import FORMATS, format_row
from sinkbench.quantization.weight_only import unpack
from speed_jobs import SETTINGS
from torch.testing._internal.two_tensor import TwoTensor

HALF = {"source": "folder", "path": FIXTURE, "dtype": "bfloat16"}
SHORT = SETTINGS["speed"] | {"points": [40], "steps": 1, "repetitions": 1}
SHAPE = {"vocab_size": 61, "hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2}
SHAPE |= {"intermediate_size": 256, "initializer_range": 0.3}
ON_CPU = [name for name in FORMATS if not name.startswith("torchao_int4")]
KINDS = {
    "streaming": ("streaming", {"budget": 32, "sinks": 4}, "eager"),
    "dense": ("dense", {"max_tokens": 300}, "hf"),
    "recompute": ("recompute", {"budget": 32, "sinks": 4, "samples": 1, "first_position": 32}, "fresh"),
    "reprefill": ("reprefill", {"budget": 32, "sinks": 4, "refresh_every": 4, "lookback": 40}, "eager"),
}


def bench_of(tokens_path, kind: str = "streaming", model=HALF) -> Bench:
    policy, options, engine = KINDS[kind]
    changed = {"policy": policy, "options": options, "engine": engine_row(engine), "model": model}
    return Bench(SETTINGS | changed | {"speed": SHORT}, tokens_path)


def measured(tokens_path, tmp_path) -> tuple:
    """Steps and notes of a speed job with a bfloat16 model."""
    speed.measure(SETTINGS | {"model": HALF, "speed": SHORT}, tokens_path, tmp_path / "steps.parquet")
    return read_table(tmp_path / "steps.parquet")


def decoded(bench: Bench) -> list[torch.Tensor]:
    """The engine's logits of the scored tokens."""
    texts = bench.texts(bench.scored_from + SHORT["check_tokens"])
    return [scores.clone() for scores in speed.decode_logits(bench.engine, texts, bench.scored_from)]


def test_distances_are_those_of_the_definitions():
    exact, given = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.5, 0.25]]).log()
    gap, same, divergence = scoring.compare(exact + 3.0, given - 1.0, torch.tensor([0])).squeeze(1).tolist()
    assert gap == pytest.approx(torch.tensor(2.0).log().item())
    assert same == 0
    assert divergence == pytest.approx(0.25 * torch.tensor(2.0).log().item())
    assert scoring.compare(exact, exact, torch.tensor([2])).squeeze(1).tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_scored_against_float32_too(tokens_path, kind):
    """Recomputed from a model whose weights are float32 themselves."""
    bench = bench_of(tokens_path, kind)
    given = torch.cat(decoded(bench))
    found = scoring.score(bench, speed.decode_logits)
    exact = Evaluator(copy.deepcopy(bench.model).float(), 64, judge=lambda hidden, _: hidden)
    (text,) = bench.texts(bench.scored_from + SHORT["check_tokens"])
    first = found["from"]
    hidden = bench.policy.nll_at(exact, text, range(first, len(text) - 1))
    gaps, *others = scoring.compare(exact.model.lm_head(hidden), given, text[first + 1 :])
    wanted = [gaps.mean(), gaps.max(), *(other.mean() for other in others)]
    expected = dict(zip(found["float32"], map(float, wanted), strict=True))
    assert found["float32"] == pytest.approx(expected, rel=1e-3)
    assert 1e-4 < found["float32"]["mean_gap"] < 0.1 and 0 < found["float32"]["kl_divergence"] < 0.01
    assert found["float32"]["mean_gap"] != found["mean_gap"]


def test_an_engine_that_is_wrong_on_both_counts_is_seen(tokens_path):
    bench = bench_of(tokens_path)

    def shifted(*about):
        return (scores.roll(1, -1) for scores in speed.decode_logits(*about))

    found = scoring.score(bench, shifted)["float32"]
    assert found["mean_gap"] > 0.3 and found["top_token_agreement"] == 0 and found["kl_divergence"] > 0.1


def test_a_float32_model_is_evaluated_once(tokens_path, monkeypatch):
    passes = []
    monkeypatch.setattr(
        scoring,
        "Evaluator",
        lambda model, *rest, **more: passes.append(model) or Evaluator(model, *rest, **more),
    )
    bench = bench_of(tokens_path, model=SETTINGS["model"])
    found = scoring.score(bench, speed.decode_logits)
    assert passes == [bench.model]
    assert {found["float32"][name] == found[name] for name in ("mean_gap", "max_gap")} == {True}
    assert found["float32"]["top_token_agreement"] == 1 and found["float32"]["kl_divergence"] < 1e-9


def test_drafts_are_scored_by_their_target(tokens_path):
    drafts = {"drafts": "model", "draft": HALF, "draft_tokens": 2, "temperature": 0, "seed": 0}
    taker = timer(Bench(SETTINGS | {"model": HALF, "speed": SHORT} | drafts, tokens_path))
    assert scoring.score(taker.bench, taker.decode)["float32"]["mean_gap"] < 0.1


def test_without_room_for_float32_the_times_stand_and_the_notes_say_why(tokens_path, tmp_path, monkeypatch):
    def refuse(model):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(scoring, "widened", refuse)
    steps, notes = measured(tokens_path, tmp_path)
    assert notes["status"] == "ok" and len(steps) == 1 and notes["score"]["mean_gap"] < 0.1
    said = "unavailable: no float32 evaluator: CUDA out of memory"
    assert notes["score"]["float32"] == {"status": said}


def test_a_fault_of_the_float32_evaluator_fails_the_run(tokens_path, tmp_path, monkeypatch):
    def broken(model):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(scoring, "widened", broken)
    assert measured(tokens_path, tmp_path)[1]["status"].startswith("failed: ")


@pytest.mark.parametrize("word", ON_CPU)
def test_the_twin_has_the_weights_that_are_stored_and_the_model_stays_as_it_is(word):
    """Against float64 made by hand: no weight is rounded to bfloat16 on its way."""
    model = random_model(SHAPE, 0, torch.bfloat16, "cpu").eval().requires_grad_(False)
    model = apply_format(format_row(word), model)
    before = dict(model.named_parameters()) | dict(model.named_buffers())
    ids, rule = torch.arange(30) * 7 % 61, Visibility(2, 8)
    own = Evaluator(model, 16).stream(ids, rule)
    single, double = (
        Evaluator(widened(model, dtype), 16).stream(ids, rule) for dtype in (torch.float32, torch.float64)
    )
    assert single.dtype == torch.float32 and double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=3e-4)
    after = dict(model.named_parameters()) | dict(model.named_buffers())
    assert all(after[name] is before[name] for name in before)
    assert torch.equal(Evaluator(model, 16).stream(ids, rule), own)


def test_weights_of_a_kind_that_cannot_be_dequantised_are_named():
    model = random_model(SHAPE, 0, torch.float32, "cpu").eval().requires_grad_(False)
    assert is_wide(model)
    dense = model.gpt_neox.layers[1].attention.dense
    dense.weight = torch.nn.Parameter(TwoTensor(dense.weight.data, dense.weight.data), requires_grad=False)
    assert not is_wide(model)
    with pytest.raises(Unavailable, match="weights of kind TwoTensor cannot be dequantised"):
        widened(model)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantized_weights_are_dequantised_without_another_rounding(bits):
    model = random_model(SHAPE, 0, torch.bfloat16, "cpu").eval().requires_grad_(False)
    stored = apply_format(format_row(f"int{bits}"), model).lm_head
    width = stored.in_features // stored.scales.shape[1]
    product = unpack(stored.packed, bits).double() * stored.scales.double().repeat_interleave(width, 1)
    seen = widened(model).lm_head(torch.eye(stored.in_features))
    assert torch.equal(seen.T.double(), product) and not torch.equal(stored.weight.double(), product)
