"""One speed job of a run with a draft model: time, and tokens of every round, along the stream."""

import time
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.speculator import Speculator, block_logits
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.errors import Unavailable
from sinkbench.measure.bench import Bench
from sinkbench.measure.clock import Timing
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.speed import COLUMNS, Timer
from sinkbench.model.families import shape_of
from sinkbench.model.loading import load_model
from sinkbench.runtime.device import elapsed_ms, record_event, synchronise


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write what speed.measure writes, a step being a round of 1 to `drafted` + 1 tokens.

    Args:
        settings: those of a speed job (bench.Bench), whose engine says how blocks are read, and draft (a
            model), draft_tokens, temperature (0: greedy) and seed.
    """

    record_outcome(
        settings, tokens_path, output_path, COLUMNS, lambda: timer(Bench(settings, tokens_path)).measure()
    )


def timer(bench: Bench) -> Timer:
    """A timer of the bench's rounds: its engine becomes the speculator that its settings describe."""
    bench.engine = build(bench)
    return Timer(bench, time_rounds, target_logits)


def build(bench: Bench) -> Speculator:
    """The speculator of a bench."""
    settings, model = bench.settings, bench.model
    captured = settings["engine"]["one_launch"]
    if captured and model.device.type != "cuda":
        raise Unavailable("a CUDA graph needs a CUDA device")
    draft = load_model(settings["draft"], settings["device"])
    draft_tokens, temperature = settings["draft_tokens"], settings["temperature"]
    rule = Greedy()
    if temperature:
        rule = Sampled(draft_tokens, shape_of(model).vocabulary, temperature, settings["seed"], model.device)
    evaluators = bench.evaluator, Evaluator(draft, settings["chunk_tokens"])
    kind = engines.blocks(settings["engine"])
    decoders = [BlockDecoder(each.model, bench.policy, each, draft_tokens + 1, kind) for each in evaluators]
    return Speculator(*decoders, draft_tokens, rule, captured)


def time_rounds(engine: Speculator, prompts: Tensor, warmup: int, steps: int) -> Timing:
    """clock.time_decode for rounds; the host does not wait for the device while they are timed."""
    device, kept = prompts.device, []
    synchronise(device)
    begun = time.perf_counter()
    engine.prefill(prompts[0], warmup + steps)
    synchronise(device)
    ttft_ms = 1e3 * (time.perf_counter() - begun)
    for _ in range(warmup):
        engine.round()
    marks = [record_event(device)]
    for _ in range(steps):
        kept.append(engine.round().accepted.clone())
        marks.append(record_event(device))
    synchronise(device)
    elapsed = elapsed_ms(marks[0], marks[-1])
    tokens = (torch.cat(kept) + 1).tolist()
    return Timing(ttft_ms, elapsed / sum(tokens), [elapsed_ms(*pair) for pair in pairwise(marks)], tokens)


def target_logits(engine: Speculator, texts: Tensor, start: int) -> Iterator[Tensor]:
    """decode.decode_logits of the target, read in blocks as it reads drafts."""
    return block_logits(engine.target, texts[0], start)
