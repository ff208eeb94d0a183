"""Losses on text that training never sees, in nats per byte: tokenizers differ, bytes do not."""

import torch
from torch import Tensor
from transformers import GPTNeoXForCausalLM

from sinkbench.model.nll import token_nll
from sinkbench.training.data import TrainingData, token_bytes

WINDOWS_PER_PASS = 64  # bounds the memory of scoring


def unseen_losses(
    model: GPTNeoXForCausalLM, data: TrainingData, count: int | None = None
) -> dict[str, float]:
    """Nats per byte of unseen text by kind, over all windows or about `count` evenly spaced ones."""
    sizes = token_bytes(data.tokenizer).to(model.device)
    spaced = {kind: rows[:: max(1, len(rows) // count) if count else 1] for kind, rows in data.unseen.items()}
    return {kind: round(nats_per_byte(model, rows, sizes), 4) for kind, rows in spaced.items()}


@torch.no_grad()
def nats_per_byte(model: GPTNeoXForCausalLM, rows: Tensor, sizes: Tensor) -> float:
    """Loss of windows [windows, context + 1] per byte of text; `sizes` [vocabulary] are bytes per token."""
    was_training = model.training
    model.eval()
    nats = 0.0
    with torch.compiler.set_stance("force_eager"):  # else every layer is compiled again for inference
        for part in rows.split(WINDOWS_PER_PASS):
            hidden = model.gpt_neox(part[:, :-1], use_cache=False).last_hidden_state
            nats += token_nll(model, hidden.flatten(0, 1), part[:, 1:].flatten()).sum().item()
    model.train(was_training)
    return nats / sizes[rows[:, 1:]].sum().item()
