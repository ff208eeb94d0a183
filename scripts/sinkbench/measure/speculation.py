"""One speed job of a run with drafts: time, tokens and judged drafts of every round, along the stream."""

import time
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.lookup import LookupSpeculator
from sinkbench.engines.speculation.speculator import Round, Speculator, block_logits
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.errors import Unavailable
from sinkbench.measure.bench import Bench
from sinkbench.measure.clock import Timing
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.places import has_looped
from sinkbench.measure.speed import COLUMNS, Timer
from sinkbench.model.families import shape_of
from sinkbench.model.loading import load_model
from sinkbench.runtime.device import elapsed_ms, record_event, synchronise


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write what speed.measure writes, a step being a round of 1 to `draft_tokens` + 1 tokens.

    A repetition continues a text of its own: real tokens up to the point, and from there on its own.

    Args:
        settings: those of a speed job (bench.Bench), whose engine says how blocks are read, and drafts
            ("model" or "lookup"), draft (of the first: a model), draft_tokens, temperature (0: greedy), seed.
    """

    record_outcome(
        settings, tokens_path, output_path, COLUMNS, lambda: timer(Bench(settings, tokens_path)).measure()
    )


def timer(bench: Bench) -> Timer:
    """A timer of the bench's rounds: its engine becomes the speculator that its settings describe."""
    bench.engine = build(bench)
    return Timer(bench, time_rounds, target_logits)


def build(bench: Bench) -> Speculator | LookupSpeculator:
    """The speculator of a bench."""
    settings, model = bench.settings, bench.model
    captured = settings["engine"]["one_launch"]
    if captured and model.device.type != "cuda":
        raise Unavailable("a CUDA graph needs a CUDA device")
    draft_tokens, temperature = settings["draft_tokens"], settings["temperature"]
    rule = Greedy()
    if temperature:
        rule = Sampled(draft_tokens, shape_of(model).vocabulary, temperature, settings["seed"], model.device)
    target = _decoder(bench, bench.evaluator)
    if settings["drafts"] == "lookup":
        return LookupSpeculator(target, draft_tokens, rule, captured)
    draft = load_model(settings["draft"], settings["device"])
    drafter = _decoder(bench, Evaluator(draft, settings["chunk_tokens"]))
    return Speculator(target, drafter, draft_tokens, rule, captured)


def _decoder(bench: Bench, evaluator: Evaluator) -> BlockDecoder:
    kind, block = engines.blocks(bench.settings["engine"]), bench.settings["draft_tokens"] + 1
    return BlockDecoder(evaluator.model, bench.policy, evaluator, block, kind)


def time_rounds(engine: Speculator | LookupSpeculator, prompts: Tensor, warmup: int, steps: int) -> Timing:
    """clock.time_decode for rounds; here nothing waits for the device while they are timed.

    A lookup waits in each round, and for what it reads. That wait is part of the round, and of its time.
    """
    device = prompts.device
    synchronise(device)
    begun = time.perf_counter()
    engine.prefill(prompts[0], warmup + steps)
    synchronise(device)
    ttft_ms = 1e3 * (time.perf_counter() - begun)
    given = [_kept(engine.round()) for _ in range(warmup)]
    marks = [record_event(device)]
    for _ in range(steps):
        given.append(_kept(engine.round()))
        marks.append(record_event(device))
    synchronise(device)
    rounds = [_read(*each.tolist()) for each in given]
    tokens, judged = ([len(ids) for ids, _ in rounds[warmup:]], [count for _, count in rounds[warmup:]])
    text = [token for ids, _ in rounds for token in ids]
    tpot_ms = elapsed_ms(marks[0], marks[-1]) / sum(tokens)
    steps_ms = [elapsed_ms(*pair) for pair in pairwise(marks)]
    return Timing(ttft_ms, tpot_ms, steps_ms, tokens, judged, has_looped(text))


def _kept(given: Round) -> Tensor:
    """A round in memory of its own, [drafts + 2], since the next may overwrite it."""
    return torch.cat((given.accepted, given.tokens))


def _read(accepted: int, *tokens: int) -> tuple[tuple[int, ...], int]:
    """Ids that a round gave, and the drafts that were judged: none after the first that did not stay."""
    drafts = len(tokens) - 1
    return tokens[: accepted + 1], min(accepted + 1, drafts)


def target_logits(engine: Speculator | LookupSpeculator, texts: Tensor, start: int) -> Iterator[Tensor]:
    """decode.decode_logits of the target, read in blocks as it reads drafts."""
    return block_logits(engine.target, texts[0], start)
