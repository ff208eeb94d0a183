"""How much of a card's bandwidth a token on `fused` takes, by size of the model and format of its weights.

    python benchmarks/shares.py                                  # Pythia-2.8b in every format, one CUDA GPU
    python benchmarks/shares.py --sizes 160m 1b 6.9b --formats none

Random weights. A step is one CUDA graph at a far position of a full ring: device time, median, least and most
of repetitions. Bytes are those that it must read, weights with their scales, keys and values; the share is of
the read bandwidth that was measured beside it.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from library import LATENCY, SIZES, check_device, read_study  # puts the library on the path
from sinkbench.model.loading import load_model
from sinkbench.policies import Visibility
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from sinkbench.runtime.memory import measure_bandwidth
from tiles import READ
from verify_cost import SINKS, plain_step, timed


@torch.inference_mode()
def main() -> None:
    options = parse()
    check_device()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {SINKS}+{options.budget - SINKS}",
        flush=True,
    )
    rows = []
    for size in options.sizes:
        for number_format in options.formats:
            rows.append({"size": size, "format": number_format, **share(size, number_format, options)})
            torch.cuda.empty_cache()
            print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False, header=len(rows) == 1), flush=True)
    if options.output:
        pd.DataFrame(rows).to_csv(options.output, index=False)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", type=Path, default=LATENCY, help="its model, at other sizes")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["2.8b"])
    parser.add_argument("--formats", nargs="+", choices=READ, default=READ, help="of weights")
    parser.add_argument("--budget", type=int, default=2048, help="cached tokens, sinks included")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, help="CSV of all rows")
    return parser.parse_args()


def share(size: str, number_format: str, options: argparse.Namespace) -> dict:
    """Milliseconds, bytes and bandwidth of a step."""
    settings = read_study(options.study)["model"]
    settings["shape"] |= SIZES[size]
    device = torch.device("cuda")
    model = apply_format(format_row(number_format), load_model(settings, device))
    replay = plain_step(model, "fused", Visibility(SINKS, options.budget - SINKS))
    times = timed(replay, options.repetitions)
    nbytes, read = sum(replay.step.bytes_read().values()), measure_bandwidth(device)["read"]
    rate = 1e3 * nbytes / times["ms"]
    return times | {
        "gb": 1e-9 * nbytes,
        "gb_per_s": 1e-9 * rate,
        "read_gb_per_s": 1e-9 * read,
        "share": rate / read,
    }


if __name__ == "__main__":
    main()
