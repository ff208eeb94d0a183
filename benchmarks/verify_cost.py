"""The verify-cost curve: time of one pass over M tokens of one stream, beside that over one token.

    python benchmarks/verify_cost.py                    # random weights at Pythia-2.8b's shape, one CUDA GPU
    python benchmarks/verify_cost.py --output curve.csv

A pass is one CUDA graph at a far position of a full ring; so the tokens of a block are read, and taken back.
Device time: minimum, median and maximum of repetitions. Relative is the median over that of `plain`, which is
the engine's own step of one token, without room to take anything back.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from library import LATENCY, check_device, read_study, replay_ms  # puts the library on the path
from sinkbench import engines
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.step import FusedStep
from sinkbench.engines.table import engine_row
from sinkbench.model.loading import load_model
from sinkbench.policies import Visibility
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from sinkbench.runtime.cuda_graph import capture
from sinkbench.runtime.device import launches_overlap

FAR = 10_000  # stream position: the ring is full
REPLAYS = 20
SINKS = 4


@torch.inference_mode()
def main() -> None:
    options = parse()
    check_device()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    rows = []
    for number_format in options.formats:
        model = model_of(options, number_format)
        for engine in options.engines:
            for budget in options.budgets:
                rows += curve(model, number_format, engine, budget, options)
                print(pd.DataFrame(rows).tail(len(options.tokens) + 1).round(4).to_string(), flush=True)
        del model
        torch.cuda.empty_cache()
    if options.output:
        pd.DataFrame(rows).to_csv(options.output, index=False)


def parse() -> argparse.Namespace:
    def words(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(number) for number in words(text)]

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", type=Path, default=LATENCY, help="its model")
    parser.add_argument("--formats", type=words, default=["none", "int8_mlp", "int4_mlp"])
    parser.add_argument("--engines", type=words, default=["fused", "graph"])
    parser.add_argument("--budgets", type=numbers, default=[2048, 512], help="cached tokens, sinks included")
    parser.add_argument("--tokens", type=numbers, default=[1, 2, 3, 4, 5, 8, 16], help="of a pass")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, help="CSV of all passes")
    return parser.parse_args()


def model_of(options: argparse.Namespace, number_format: str):
    settings = read_study(options.study)["model"]
    return apply_format(format_row(number_format), load_model(settings, "cuda"))


def curve(model, number_format: str, engine: str, budget: int, options: argparse.Namespace) -> list[dict]:
    """A row for the plain step, and one for each size of block, all over one ring."""
    visibility = Visibility(SINKS, budget - SINKS)
    where = {"format": number_format, "engine": engine, "budget": budget}
    passes = {"plain": plain_step(model, engine, visibility)}
    ring = engines.blocks(engine_row(engine))(model, visibility, max(options.tokens))
    ring.position.fill_(FAR)
    passes |= {str(tokens): block_pass(ring, tokens) for tokens in options.tokens}
    rows = [where | {"tokens": name} | timed(made, options.repetitions) for name, made in passes.items()]
    return [row | {"relative": row["ms"] / rows[0]["ms"]} for row in rows]


def plain_step(model, engine: str, visibility: Visibility) -> Callable:
    """A captured step of one token."""
    if engine != "fused":
        ring = engines.blocks(engine_row(engine))(model, visibility, 1)
        ring.position.fill_(FAR)
        return block_pass(ring, 1)
    ring = FusedRing(model, visibility)
    ring.position = FAR
    step = FusedStep(model, ring, pdl=launches_overlap(model.device))
    step.begin()
    return capture(step, rewind=lambda: step.position.sub_(1))


def block_pass(ring, tokens: int) -> Callable:
    """A captured pass over so many tokens, which are taken back in it."""
    ids = torch.arange(tokens, device=ring.position.device)

    def read_and_take_back():
        ring.read(ids)
        ring.position.sub_(tokens)

    return capture(read_and_take_back)


def timed(replay: Callable, repetitions: int) -> dict:
    """Milliseconds of a replay: median, least and most of the repetitions."""
    device = torch.device("cuda")
    _, *times = (replay_ms(replay, REPLAYS, device) for _ in range(repetitions + 1))  # the first warms up
    return {"ms": median(times), "least_ms": min(times), "most_ms": max(times)}


if __name__ == "__main__":
    main()
