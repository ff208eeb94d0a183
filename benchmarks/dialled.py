"""What speculation would give at a dialled acceptance: random weights have none of their own.

    python benchmarks/dialled.py                     # shapes of Pythia-2.8b and Pythia-160m, one CUDA GPU
    python benchmarks/dialled.py --format int8_mlp

Rounds do all the work of real ones. Only the verdict on a draft is drawn, on the device: each stays with
probability a, whatever the two models say. Beside them, in one run, stands the same engine without drafts.
Break-even is the acceptance at which a round pays for itself, from (1 - a^(k+1)) / (1 - a) tokens a round
(Leviathan et al. 2023, equation 1).
"""

import argparse
from itertools import product
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from library import LATENCY, check_device, read_study  # puts the library on the path
from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.speculator import Speculator
from sinkbench.engines.speculation.verification import Greedy, leading
from sinkbench.engines.table import engine_row
from sinkbench.measure.clock import time_decode
from sinkbench.measure.speculation import time_rounds
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row

PROMPT_TOKENS = 4096
WARMUP, STEPS = 8, 512  # rounds, whose tokens vary as drawn, or tokens without drafts
SINKS = 4


class Dialled(Greedy):
    """Greedy verification whose drafts stay with a probability, and not because they are right.

    Args:
        draft_tokens: k, tokens drafted in a round.
        acceptance: of a draft, if those before it stayed.
    """

    def __init__(self, draft_tokens: int, acceptance: float, device: torch.device):
        self.acceptance = acceptance
        self.chances = torch.empty(draft_tokens, device=device)
        self.generator = torch.Generator(device).manual_seed(0)

    def renew(self) -> None:
        self.chances.uniform_(generator=self.generator)

    def verify(self, drafts, guesses, scores):
        accepted = leading(self.chances < self.acceptance)
        return accepted, scores.argmax(-1).gather(0, accepted)


@torch.inference_mode()
def main() -> None:
    options = parse()
    check_device()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {options.format}", flush=True)
    study = read_study(options.study)
    dtype = {"dtype": study["model"]["dtype"]}
    target = apply_format(format_row(options.format), load_model(study["model"], "cuda"))
    draft = load_model(study["draft"] | dtype, "cuda")
    chosen = [
        policies.build("streaming", {"budget": budget, "sinks": SINKS})
        for budget in (options.budget, options.draft_budget or options.budget)
    ]
    evaluators = [Evaluator(model, 8192) for model in (target, draft)]
    prompt = torch.randint(1000, (1, PROMPT_TOKENS), device="cuda")
    rows = []
    for engine in options.engines:
        plain = plain_ms(engine, chosen[0], evaluators[0], prompt, options.repetitions)
        print(f"{engine} without drafts: {plain:.3f} ms a token", flush=True)
        for draft_tokens, acceptance in product(options.draft_tokens, options.acceptances):
            rule = Dialled(draft_tokens, acceptance, prompt.device)
            row = rounds(engine, chosen, evaluators, rule, prompt, options.repetitions)
            rows.append({"engine": engine, "k": draft_tokens, "a": acceptance} | row | {"plain_ms": plain})
            print(table(rows).tail(1).to_string(header=len(rows) == 1), flush=True)
    if options.output:
        table(rows).to_csv(options.output, index=False)


def parse() -> argparse.Namespace:
    def each(kind):
        return lambda text: [kind(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", type=Path, default=LATENCY)
    parser.add_argument("--format", default="none", help="of the target's weights")
    parser.add_argument("--engines", type=each(str), default=["fused", "graph"])
    parser.add_argument("--draft-tokens", type=each(int), default=[2, 4, 6])
    parser.add_argument("--acceptances", type=each(float), default=[0.6, 0.8, 0.9])
    parser.add_argument("--budget", type=int, default=2048, help="cached tokens, sinks included")
    parser.add_argument("--draft-budget", type=int, help="of the draft model (default: the same)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, help="CSV of all rows")
    return parser.parse_args()


def plain_ms(engine: str, policy, evaluator: Evaluator, prompt, repetitions: int) -> float:
    """Median milliseconds of a token without drafts."""
    decoder = engines.build(engine_row(engine), evaluator.model, policy, evaluator)
    timings = [time_decode(decoder, prompt, WARMUP, STEPS) for _ in range(repetitions)]
    return median(timing.tpot_ms for timing in timings)


def rounds(engine: str, chosen: list, evaluators: list[Evaluator], rule, prompt, repetitions: int) -> dict:
    """Milliseconds of a round and of a token, and tokens of a round."""
    draft_tokens, kind = len(rule.chances), engines.blocks(engine_row(engine))
    decoders = [
        BlockDecoder(each.model, policy, each, draft_tokens + 1, kind)
        for each, policy in zip(evaluators, chosen, strict=True)
    ]
    speculator = Speculator(*decoders, draft_tokens, rule, captured=True)
    timings = [time_rounds(speculator, prompt, WARMUP, STEPS) for _ in range(repetitions)]
    given = [token for timing in timings for token in timing.tokens]
    taken = [ms for timing in timings for ms in timing.steps_ms]
    each_ms = [timing.tpot_ms for timing in timings]
    return {
        "round_ms": median(taken),
        "tokens": sum(given) / len(given),
        "ms": median(each_ms),
        "least_ms": min(each_ms),
        "most_ms": max(each_ms),
    }


def table(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    frame["speedup"] = frame["plain_ms"] / frame["ms"]
    frame["break_even"] = list(map(break_even, frame["k"], frame["round_ms"] / frame["plain_ms"]))
    return frame.round(3)


def break_even(draft_tokens: int, cost: float) -> float:
    """The acceptance at which a round of `cost` plain steps gives as many tokens; NaN where none does."""
    low, high = 0.0, 1.0
    if not 1 <= cost <= draft_tokens + 1:
        return float("nan")
    for _ in range(40):
        middle = (low + high) / 2
        tokens = sum(middle**place for place in range(draft_tokens + 1))
        low, high = (middle, high) if tokens < cost else (low, middle)
    return (low + high) / 2


if __name__ == "__main__":
    main()
