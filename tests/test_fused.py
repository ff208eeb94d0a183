"""The fused kernels in Triton's interpreter against float64, and compiled for the cards they must run on."""

import pytest
import torch

pytest.importorskip("triton")

from sinkbench.errors import Unavailable
from sinkbench.fused import step as fused_step
from sinkbench.fused.step import FusedStep, Tile
from sinkbench.fused.weights import check_supported
from sinkbench.kernels import MaskedKernel
from sinkbench.models import random_model
from sinkbench.nll import token_nll_of_logits
from sinkbench.ring import RingBuffers
from sinkbench.scorer import Scorer
from sinkbench.visibility import Visibility

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VOCABULARY = 61


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles that do not divide the shapes, and several splits of few keys."""
    monkeypatch.setattr(fused_step, "TILES", {word: {32: Tile(8, 32, 1, 2, 2)} for word in fused_step.TILES})
    monkeypatch.setattr(fused_step, "BATCH_TILES", {32: Tile(16, 32, 4)})
    monkeypatch.setattr(fused_step, "BLOCK_KEYS", 4)
    monkeypatch.setattr(fused_step, "SPLIT_KEYS", 4)


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


@pytest.mark.parametrize(
    ("batch", "sinks", "start", "length"), [(1, 4, 2, 20), (1, 0, 11, 17), (3, 4, 11, 16)]
)
def test_steps_compute_the_exact_nlls(batch, sinks, start, length):
    model, visibility = model_of(), Visibility(sinks, 7)
    texts = torch.randint(VOCABULARY, (batch, length), device=DEVICE)
    scorer = Scorer(model, 16)
    scorer.kernel = MaskedKernel()
    ring = RingBuffers(model, visibility, batch)
    for row, text in enumerate(texts):
        ring.load(scorer.prefill(text[:start], visibility)[0], row)
    step = FusedStep(model, ring, pdl=False)
    step.begin()
    losses = []
    for t in range(start, length - 1):
        step.tokens.copy_(texts[:, t])
        step.logits.fill_(float("nan"))
        losses.append(token_nll_of_logits(step(), texts[:, t + 1]))
    exact = Scorer(model.double().cpu(), 16)
    expected = torch.stack([exact.stream(text, visibility)[start:] for text in texts.cpu()])
    torch.testing.assert_close(torch.stack(losses, 1).cpu().double(), expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"use_parallel_residual": False}, "residual is not parallel"), ({"hidden_act": "relu"}, "'relu'")],
)
def test_models_that_the_kernels_do_not_compute_are_refused_by_name(changes, reason):
    with pytest.raises(Unavailable, match=reason):
        check_supported(model_of(**changes))
