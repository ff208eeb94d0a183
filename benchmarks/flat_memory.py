"""Memory of the exact evaluator over texts of 10,000 to 1,000,000 tokens: it must stay flat.

    python benchmarks/flat_memory.py [--device cuda]

Uses the embedded demonstration model at 4+508 on the standard library's modules, repeated as one text.
"""

import argparse
import time

from evaluator import stdlib_tokens
from library import DEMO, check_device  # puts the library on the path
from sinkbench.attention.evaluator import Evaluator
from sinkbench.model.loading import load_model
from sinkbench.policies import Visibility
from sinkbench.runtime.memory import peak_bytes, reset_peak

SHAPE = Visibility(sinks=4, recent=508)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    check_device(options.device)
    model = load_model({"source": "folder", "path": str(DEMO), "dtype": "float32"}, options.device)
    evaluator = Evaluator(model, options.chunk)
    text = stdlib_tokens(max(options.lengths) + 1).to(options.device)
    evaluator.stream(text[:2000], SHAPE)  # what is allocated once is allocated now
    for length in options.lengths:
        reset_peak(model.device)
        begun = time.perf_counter()
        nll = evaluator.stream(text[: length + 1], SHAPE)
        elapsed_s = time.perf_counter() - begun
        peak_mib = peak_bytes(model.device) / 2**20
        print(
            f"{length:9,d} tokens  peak {peak_mib:8.1f} MiB  {length / elapsed_s:10,.0f} tokens/s  "
            f"perplexity {nll.mean().exp():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
