"""What torch's attention kernels ask for a cache length that they have not met.

    python benchmarks/new_lengths.py    # a CUDA GPU; Pythia-2.8b's heads, bfloat16

A cache that grows shows its kernels another length at every token. Prints, for each kernel, the host's time
of the first call of one query at a length, and of a later one there; and the device's time of a later one.
Plans are kept in the process: a second text meets lengths that the first one has paid for.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from library import check_device
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
    check_device()
    versions = f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    print(f"{torch.cuda.get_device_name()}, {versions}; medians over {options.lengths} lengths")
    for around in options.around:
        for kernel, times in measured(around, options.lengths):
            print(line(around, kernel, times), flush=True)


def measured(around: int, count: int) -> Iterator[tuple[str, list[tuple]]]:
    """Each kernel's times (measure) at `count` lengths."""
    slots = around + count * len(KERNELS)
    keys, values = torch.randn(2, 1, HEADS, slots, HEAD_DIM, device="cuda").bfloat16()
    for number, (name, kernel) in enumerate(KERNELS.items()):
        first = around + number * count  # of its own: torch's choice is one of the others
        with nullcontext() if kernel is None else sdpa_kernel(kernel):
            attend(keys[:, :, : first - 1], values[:, :, : first - 1])  # loads the kernel
            lengths = range(first, first + count)
            yield name, [measure(keys[:, :, :length], values[:, :, :length]) for length in lengths]


def line(around: int, kernel: str, times: list[tuple]) -> str:
    """What is printed of a kernel: medians of its times (measure)."""
    new_ms, again_ms, device_ms = map(statistics.median, zip(*times, strict=True))
    return (
        f"{around:6,d} tokens  {kernel:16s}  new length {new_ms:7.3f} ms  again {again_ms:7.3f} ms  "
        f"device {device_ms:7.3f} ms"
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
