"""Blocks of tokens of one stream in the fused kernels: what token-by-token decoding computes."""

from random import Random

import pytest
import torch
from helpers import decode_in_blocks

pytest.importorskip("triton")

from interpreted import DEVICE, VOCABULARY, model_of, use_tiles
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines.fused import tiles
from sinkbench.engines.fused.blocks import Blocks
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.policies import build


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles that do not divide the shapes."""
    use_tiles(monkeypatch, rows=8, inputs=32)


def decoder_of(model, policy, block: int) -> BlockDecoder:
    evaluator = Evaluator(model, 16)
    evaluator.kernel = MaskedKernel()
    return BlockDecoder(model, policy, evaluator, block, Blocks)


# A window that is longer than a block and one that is not; no sinks; a ring that never fills.
@pytest.mark.parametrize(
    ("policy", "block", "start", "length"),
    [
        (build("streaming", {"budget": 11, "sinks": 4}), 3, 5, 34),
        (build("streaming", {"budget": 6, "sinks": 3}), 5, 4, 24),
        (build("window", {"budget": 7}), 4, 2, 22),
        (build("dense", {"max_tokens": 24}), 2, 3, 16),
    ],
)
def test_blocks_compute_the_exact_nlls(policy, block, start, length):
    """Whatever was read before them and taken back."""
    torch.manual_seed(block)
    width = {} if DEVICE == "cpu" else {"hidden_size": 240}  # the matrix units want 16 dimensions of a head
    model, text = model_of(**width), torch.randint(VOCABULARY, (length,), device=DEVICE)
    decoded = decode_in_blocks(decoder_of(model, policy, block), text, start, Random(length).randint)
    exact = Evaluator(model.double().cpu(), 16)
    expected = exact.stream(text.cpu(), policy.visibility(length))[start - 1 :]
    torch.testing.assert_close(
        decoded.cpu().double(), expected, rtol=0, atol=3e-5 if DEVICE == "cpu" else 1e-4
    )


@pytest.mark.parametrize("split_keys", [4, 100])
def test_sixteen_columns_and_wide_heads_behind_more_sinks_than_a_tile_has_keys(monkeypatch, split_keys):
    """In several splits of the ring, and in one."""
    monkeypatch.setattr(tiles, "SPLIT_KEYS_OF_BLOCKS", dict.fromkeys((4, 8, 16, 32), split_keys))
    model = model_of(hidden_size=240, initializer_range=0.15)
    text = torch.randint(VOCABULARY, (31,), device=DEVICE)
    policy = build("streaming", {"budget": 24, "sinks": 18})
    decoded = decode_in_blocks(decoder_of(model, policy, 10), text, 19, lambda _, most: most)
    expected = Evaluator(model.double().cpu(), 16).stream(text.cpu(), policy.visibility(31))[18:]
    bound = 1e-5 if DEVICE == "cpu" else 1e-4
    torch.testing.assert_close(decoded.cpu().double(), expected, rtol=0, atol=bound)
