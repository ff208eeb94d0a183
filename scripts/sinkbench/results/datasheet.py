"""What the manufacturer's datasheet says of a card: what published fractions of a roofline are against."""

from typing import NamedTuple


class Card(NamedTuple):
    """A row of the datasheet.

    Args:
        bytes_per_s: bandwidth of the memory.
        flops: of matrix products in bfloat16 with sums in float32, per second, without sparsity.
        memory_bytes: of the device.
    """

    bytes_per_s: float
    flops: float
    memory_bytes: float


# By the name that torch gives the device, from NVIDIA's product pages, datasheets and whitepapers.
CARDS = {
    "NVIDIA H200": Card(4.8e12, 989e12, 141e9),
    "NVIDIA H100 80GB HBM3": Card(3.35e12, 989e12, 80e9),
    "NVIDIA H100 PCIe": Card(2.0e12, 756e12, 80e9),
    "NVIDIA A100-SXM4-80GB": Card(2.039e12, 312e12, 80e9),
    "NVIDIA A800-SXM4-80GB": Card(2.039e12, 312e12, 80e9),
    "NVIDIA A100 80GB PCIe": Card(1.935e12, 312e12, 80e9),
    "NVIDIA A800 80GB PCIe": Card(1.935e12, 312e12, 80e9),
    "NVIDIA A100-SXM4-40GB": Card(1.555e12, 312e12, 40e9),
    "NVIDIA L40S": Card(0.864e12, 362e12, 48e9),
    "NVIDIA GeForce RTX 4090": Card(1.008e12, 165e12, 24e9),
    "NVIDIA GeForce RTX 3090": Card(0.936e12, 71e12, 24e9),
}


def datasheet_bandwidth(device: str) -> float | None:
    """Bytes per second of a device by its whole name; None where none is known (a slice of a card, a CPU)."""
    return CARDS[device].bytes_per_s if device in CARDS else None
