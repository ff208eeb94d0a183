"""What torch's attention kernels ask for a cache length that they have not met.

    python benchmarks/new_lengths.py    # a CUDA GPU; Pythia-2.8b's heads, bfloat16

A cache that grows shows its kernels another length at every token. Prints, for each kernel, the host's time
of the first call of one query at a length, and of a later one there; and the device's time of a later one.
Plans are kept in the process: a second text meets lengths that the first one has paid for.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

HEADS, HEAD_DIM = 32, 80
AHEAD_CYCLES = 1_000_000  # the device sleeps meanwhile, so that its own time has no launch in it
KERNELS = {
    "as torch chooses": None,
    "flash": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--around", type=int, nargs="+", default=[2048, 32768], help="lengths [tokens]")
    parser.add_argument("--lengths", type=int, default=32, help="lengths from there, for each kernel")
    options = parser.parse_args()
    versions = f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    print(f"{torch.cuda.get_device_name()}, {versions}; medians over {options.lengths} lengths")
    for around in options.around:
        slots = around + options.lengths * len(KERNELS)
        keys, values = torch.randn(2, 1, HEADS, slots, HEAD_DIM, device="cuda").bfloat16()
        for number, (name, kernel) in enumerate(KERNELS.items()):
            first = around + number * options.lengths  # of its own: torch's choice is one of the others
            lengths = range(first, first + options.lengths)
            with nullcontext() if kernel is None else sdpa_kernel(kernel):
                attend(keys[:, :, : first - 1], values[:, :, : first - 1])  # loads the kernel
                rows = [measure(keys[:, :, :length], values[:, :, :length]) for length in lengths]
            new_ms, again_ms, device_ms = map(statistics.median, zip(*rows, strict=True))
            print(
                f"{around:6,d} tokens  {name:16s}  new length {new_ms:7.3f} ms  again {again_ms:7.3f} ms  "
                f"device {device_ms:7.3f} ms",
                flush=True,
            )


def measure(keys: torch.Tensor, values: torch.Tensor) -> tuple[float, float, float]:
    """[ms] of the host at a new length, of the host once more, and of the device after that."""
    new_ms, again_ms = (host_ms(keys, values) for _ in range(2))
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(AHEAD_CYCLES)
    begin.record()
    attend(keys, values)
    end.record()
    end.synchronize()
    return new_ms, again_ms, begin.elapsed_time(end)


def host_ms(keys: torch.Tensor, values: torch.Tensor) -> float:
    """What a call keeps the host busy for; the device is idle before and not waited for."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    attend(keys, values)
    return 1e3 * (time.perf_counter() - begun)


def attend(keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return scaled_dot_product_attention(keys[:, :, :1], keys, values)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
