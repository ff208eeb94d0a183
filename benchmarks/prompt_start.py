"""What a prompt costs before its first token, and what is saved when another one follows on the same engine.

    python benchmarks/prompt_start.py                    # random weights at Pythia-2.8b's shape, one CUDA GPU
    python benchmarks/prompt_start.py --engines fused --prompt 8192

Milliseconds of the host's clock, from the prompt to the end of the step behind it: the first time an engine
compiles, captures and prepares, and from the second on it finds its ring and its step as they were.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
import yaml
from library import ROOT, check_device  # puts the library on the path
from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.table import engine_row
from sinkbench.model.families import shape_of
from sinkbench.model.loading import load_model
from sinkbench.runtime.device import synchronise

SINKS, CHUNK_TOKENS = 4, 8192


@torch.inference_mode()
def main() -> None:
    options = parse()
    check_device(options.device)
    settings = yaml.safe_load(options.study.read_text(encoding="utf-8"))["model"]
    model = load_model(settings, options.device)
    policy = policies.build("streaming", {"budget": options.budget, "sinks": SINKS})
    rows = []
    for name in options.engines:
        engine = engines.build(engine_row(name), model, policy, Evaluator(model, CHUNK_TOKENS))
        starts = [start_ms(engine, prompt(model, options)) for _ in range(options.prompts)]
        rows += [{"engine": name, "prompt": number, **each} for number, each in enumerate(starts, start=1)]
    print(pd.DataFrame(rows).round(1).to_string(index=False))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--study", type=Path, default=ROOT / "workflow/studies/latency.yaml", help="its model"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=["fused", "graph"])
    parser.add_argument("--budget", type=int, default=2048, help="cached tokens, sinks included")
    parser.add_argument("--prompt", type=int, default=2048, help="tokens")
    parser.add_argument("--prompts", type=int, default=4, help="one after another")
    return parser.parse_args()


def prompt(model, options: argparse.Namespace) -> torch.Tensor:
    return torch.randint(shape_of(model).vocabulary, (1, options.prompt), device=options.device)


def start_ms(engine, ids: torch.Tensor) -> dict[str, float]:
    """Milliseconds of reading a prompt [1, T], and of the first step behind it."""
    marks = [_now(ids.device)]
    chosen = engine.prefill(ids, max_new_tokens=8).argmax(-1)
    marks.append(_now(ids.device))
    engine.step(chosen)
    marks.append(_now(ids.device))
    return {"prompt_ms": 1e3 * (marks[1] - marks[0]), "first_step_ms": 1e3 * (marks[2] - marks[1])}


def _now(device: torch.device) -> float:
    synchronise(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
