"""How far an engine's predictions lie from the exact evaluator's, on the tokens where it is scored."""

from collections.abc import Callable, Iterator
from textwrap import shorten

import torch
from torch import Tensor

from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.errors import Unavailable
from sinkbench.measure.bench import Bench
from sinkbench.measure.outcome import STATUS_CHARACTERS
from sinkbench.model.nll import logits
from sinkbench.model.widened import is_wide, widened

ROWS = 64  # tokens compared at a time: 26 MB a table in float64 at a vocabulary of 50,304


def score(bench: Bench, decode: Callable[..., Iterator[Tensor]]) -> dict:
    """Distances of an engine's predictions to the exact evaluator's; its cache is gone afterwards.

    They are to the evaluator in the model's own dtype, and (`float32`) to one in float32 with the same
    weights, dequantised (model.widened). Where that cannot be had its numbers are missing, and a status says
    why: what was timed stands. The engine's logits wait in the host's memory meanwhile, [batch, tokens,
    vocabulary] in float32.

    Args:
        decode: see speed.Timer.
    """
    count, start = bench.speed["check_tokens"], bench.scored_from
    texts = bench.texts(start + count)
    given = torch.stack([scores.to("cpu", copy=True) for scores in decode(bench.engine, texts, start)], 1)
    bench.engine.reset()
    own = _summary(_distances(bench, bench.model, texts, given))
    gaps = {name: own[name] for name in ("mean_gap", "max_gap")}
    wide = own if is_wide(bench.model) else _against_float32(bench, texts, given)
    return {"from": start - 1, "tokens": given.shape[0] * given.shape[1], **gaps, "float32": wide}


def compare(exact: Tensor, given: Tensor, targets: Tensor) -> Tensor:
    """Distances of logits `given` to `exact`, both [tokens, vocabulary], by token: float64 [3, tokens].

    They are |NLL difference| of the ids `targets` in nats, whether the likeliest ids are the same (1 or 0),
    and the Kullback-Leibler divergence KL(exact || given) in nats (Kullback and Leibler 1951).
    """
    exact, given = exact.double().log_softmax(-1), given.double().log_softmax(-1)
    gaps = (exact - given).gather(1, targets[:, None])[:, 0].abs()
    same = (exact.argmax(-1) == given.argmax(-1)).double()
    divergence = (exact.exp() * (exact - given)).sum(-1).clamp_(min=0)  # below 0 by rounding alone
    return torch.stack((gaps, same, divergence))


def _against_float32(bench: Bench, texts: Tensor, given: Tensor) -> dict:
    try:
        return _summary(_distances(bench, widened(bench.model), texts, given, MaskedKernel()))
    except (torch.OutOfMemoryError, Unavailable) as error:
        said = f"unavailable: no float32 evaluator: {error}"
        return {"status": shorten(said, STATUS_CHARACTERS)}


def _distances(bench: Bench, model, texts: Tensor, given: Tensor, kernel=None) -> Tensor:
    """`compare` of the logits `given` [batch, tokens, vocabulary] of the last tokens: [3, batch, tokens]."""
    count = given.shape[1]
    evaluator = Evaluator(
        model, bench.settings["chunk_tokens"], judge=lambda hidden, _: hidden, kernel=kernel
    )
    scored = range(texts.shape[1] - count - 1, texts.shape[1] - 1)
    streams = []
    for text, own in zip(texts, given, strict=True):
        hidden = bench.policy.nll_at(evaluator, text, scored)
        parts = zip(hidden.split(ROWS), own.split(ROWS), text[-count:].split(ROWS), strict=True)
        found = [compare(logits(model, part), rows.to(text.device), ids) for part, rows, ids in parts]
        streams.append(torch.cat(found, 1))
    return torch.stack(streams, 1)


def _summary(distances: Tensor) -> dict:
    gaps, same, divergence = distances
    return {
        "mean_gap": float(gaps.mean()),
        "max_gap": float(gaps.max()),
        "top_token_agreement": float(same.mean()),
        "kl_divergence": float(divergence.mean()),
    }
