"""Decode with an engine: logits and NLLs of a given text, or a continuation."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sinkbench.model.nll import token_nll_of_logits


def decode_logits(engine, texts: Tensor, start: int) -> Iterator[Tensor]:
    """Decode texts [batch, T]: logits [batch, vocabulary] that predict tokens start .. T-1.

    The first come from the prefill. An engine may overwrite logits when the next ones are asked for.
    """
    fed = texts[:, start:-1].unbind(1)
    yield engine.prefill(texts[:, :start], len(fed))
    for token in fed:
        yield engine.step(token)


def decode_nll(engine, texts: Tensor, start: int) -> Tensor:
    """Decode texts [batch, T]: NLLs [batch, T - start] of tokens start .. T-1."""
    predicted = zip(decode_logits(engine, texts, start), texts[:, start:].unbind(1), strict=True)
    return torch.stack([token_nll_of_logits(scores, target) for scores, target in predicted], 1)


def generate(engine, prompts: Tensor, count: int, choose) -> Tensor:
    """Continue prompts [batch, T] by ids [batch, count]; the host never waits for the device.

    Args:
        choose: gives ids [batch] for logits [batch, vocabulary]; see `greedy` and `Sampler`.
    """
    chosen = [choose(engine.prefill(prompts, count))]
    for _ in range(count - 1):
        chosen.append(choose(engine.step(chosen[-1])))
    return torch.stack(chosen, 1)


def greedy(logits: Tensor) -> Tensor:
    """The likeliest ids [batch]."""
    return logits.argmax(dim=-1)


class Sampler:
    """Draws from the softmax of logits / temperature.

    Args:
        temperature: above 0; 1 samples from the model itself.
        seed: of the draws; the same seed on the same device gives the same ids.
    """

    def __init__(self, temperature: float, seed: int, device: torch.device):
        self.temperature = temperature
        self.generator = torch.Generator(device).manual_seed(seed)

    def __call__(self, logits: Tensor) -> Tensor:
        # argmax(logits / T + Gumbel noise) is such a draw (Gumbel 1954) and never waits for the device.
        noise = torch.empty_like(logits).exponential_(generator=self.generator).log()
        return (logits / self.temperature - noise).argmax(dim=-1)
