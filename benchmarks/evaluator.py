"""The exact evaluator against token-by-token decoding: the same model, the same text, one run.

    python benchmarks/evaluator.py --device cpu                          # embedded demonstration model
    python benchmarks/evaluator.py --device cuda --shape pythia-2.8b     # random weights: times only

Prints tokens/s of the evaluator, of our eager ring and of the paper's formulation (rotate all keys,
concatenate; re-implemented in engines/paper.py), and how far their NLLs lie apart.
"""

import argparse
import time

import numpy as np
import torch
from library import DEMO, check_device, read_study  # puts the library on the path
from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import decode_nll
from sinkbench.engines.table import engine_row
from sinkbench.measure.clock import time_decode
from sinkbench.model.loading import load_model
from sinkbench.runtime.device import synchronise
from sinkbench.text.corpora import documents
from sinkbench.text.tokens import load_tokenizer

WARMUP = 8  # untimed steps: the first ones load kernels
MODULES = ["_pydecimal", "turtle", "inspect", "typing", "pydoc"]


def main() -> None:
    options = parse()
    check_device(options.device)
    model = load_model(model_settings(options), options.device)
    text = stdlib_tokens(options.tokens + 1).to(options.device)
    policy = policies.build("streaming", {"budget": options.budget, "sinks": options.sinks})
    evaluator = Evaluator(model, options.chunk)
    exact, rate = evaluate(evaluator, policy, text, options.repetitions)
    peak = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if options.device == "cuda" else ""
    print(f"{'evaluator':12s} {rate:12,.1f} tokens/s  chunk {options.chunk}{peak}", flush=True)
    for name, count in (("eager", options.decode), ("paper", options.decode)):
        engine = engines.build(engine_row(name), model, policy, evaluator)
        start = options.budget
        decoded, decode_rate = decode(engine, text, start, count)
        gap = (decoded - exact[start : start + count]).abs()
        print(
            f"{name:12s} {decode_rate:12,.1f} tokens/s  evaluator is {rate / decode_rate:,.0f} x faster; "
            f"|NLL difference| mean {gap.mean():.1e} max {gap.max():.1e} nats on {count} tokens",
            flush=True,
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=("demo", "pythia-2.8b"), default="demo")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--sinks", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=16384, help="tokens that the evaluator scores")
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--decode", type=int, default=256, help="tokens decoded one by one, cache full")
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


def model_settings(options: argparse.Namespace) -> dict:
    if options.shape == "demo":
        return {"source": "folder", "path": str(DEMO), "dtype": options.dtype}
    return read_study()["model"] | {"dtype": options.dtype}


def stdlib_tokens(count: int) -> torch.Tensor:
    """Token ids of the standard library's longest modules, repeated as needed."""
    tokenizer = load_tokenizer(DEMO / "tokenizer.json")
    corpus = {"name": "stdlib", "kind": "stdlib", "modules": MODULES}
    ids = [id for _, text in documents(corpus) for id in tokenizer.encode(text).ids]
    return torch.from_numpy(np.resize(np.array(ids, dtype=np.int64), count))


def evaluate(
    evaluator: Evaluator, policy, text: torch.Tensor, repetitions: int
) -> tuple[torch.Tensor, float]:
    """Exact NLLs and tokens/s (median), after one untimed pass that compiles what is to be compiled."""
    times = []
    for _ in range(repetitions + 1):
        synchronise(text.device)
        begun = time.perf_counter()
        exact = evaluator.stream(text, policy.visibility(0))
        synchronise(text.device)
        times.append(time.perf_counter() - begun)
    return exact, len(exact) / float(np.median(times[1:]))


def decode(engine, text: torch.Tensor, start: int, count: int) -> tuple[torch.Tensor, float]:
    """NLLs of `count` tokens decoded from position `start` on, and tokens/s in the steady state."""
    texts = text[None, : start + 1 + count]
    rate = 1e3 / time_decode(engine, texts[:, : start + 1], WARMUP, count).tpot_ms
    return decode_nll(engine, texts, start + 1)[0], rate


if __name__ == "__main__":
    main()
