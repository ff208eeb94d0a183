"""The start of a prompt: time of prefill and first step, the first time an engine does so and again.

    python benchmarks/prompt_start.py                   # random weights at Pythia-2.8b's shape, one CUDA GPU
    python benchmarks/prompt_start.py --tokens 512 --repetitions 9

`first_ms` is of a new engine, on a model that has decoded with another one: kernels are compiled and loaded,
but nothing is captured. `again_ms` is of later prompts of the same engine, each as long and of other tokens;
median, least and most. The host's clock, from a device at rest to one at rest; the first step is within.
`prefill_ms` is the median part of a later prompt before that step.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import pandas as pd
import torch
import yaml
from library import ROOT, check_device  # puts the library on the path
from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import greedy
from sinkbench.engines.table import engine_row
from sinkbench.model.families import shape_of
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from sinkbench.runtime.device import synchronise

CHUNK_TOKENS = 8192
SINKS = 4
ROOM = 64  # tokens that a stream might go on for


@torch.inference_mode()
def main() -> None:
    options = parse()
    check_device()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {options.format}", flush=True)
    settings = yaml.safe_load(options.study.read_text(encoding="utf-8"))["model"]
    evaluator = Evaluator(
        apply_format(format_row(options.format), load_model(settings, "cuda")), CHUNK_TOKENS
    )
    policy = policies.build("streaming", {"budget": options.budget, "sinks": SINKS})
    rows = [row(word, policy, evaluator, options.tokens, options.repetitions) for word in options.engines]
    print(pd.DataFrame(rows).round(2).to_string(index=False))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--study", type=Path, default=ROOT / "workflow/studies/latency.yaml", help="its model"
    )
    parser.add_argument("--format", default="none", help="of weights")
    parser.add_argument("--engines", nargs="+", default=["fused", "graph"])
    parser.add_argument("--tokens", type=int, default=2048, help="of a prompt")
    parser.add_argument("--budget", type=int, default=2048, help="cached tokens, sinks included")
    parser.add_argument("--repetitions", type=int, default=5, help="later prompts")
    return parser.parse_args()


def row(word: str, policy, evaluator: Evaluator, tokens: int, repetitions: int) -> dict:
    """An engine's times in ms: of its first prompt, and of later ones."""
    device = evaluator.model.device
    vocabulary = shape_of(evaluator.model).vocabulary
    texts = torch.randint(vocabulary, (repetitions + 1, 1, tokens), device=device)
    build = engine_row(word), evaluator.model, policy, evaluator
    start(engines.build(*build), texts[0])  # compiles and loads what a process needs once
    engine = engines.build(*build)
    (_, first), *later = (start(engine, text) for text in texts)
    again = [total for _, total in later]
    return {
        "engine": word,
        "tokens": tokens,
        "first_ms": first,
        "again_ms": median(again),
        "least_ms": min(again),
        "most_ms": max(again),
        "prefill_ms": median(prefill for prefill, _ in later),
    }


def start(engine, prompts: torch.Tensor) -> tuple[float, float]:
    """[ms] from a prompt [1, T] to its first token, and to the logits behind that one."""
    synchronise(prompts.device)
    begun = time.perf_counter()
    chosen = greedy(engine.prefill(prompts, ROOM))
    synchronise(prompts.device)
    prefilled = time.perf_counter()
    engine.step(chosen)
    synchronise(prompts.device)
    return 1e3 * (prefilled - begun), 1e3 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
