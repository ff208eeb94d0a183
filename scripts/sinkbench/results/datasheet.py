"""Memory bandwidth by the manufacturer's datasheet: what published fractions of a roofline are against."""

# Bytes per second by the name that torch gives the device, from NVIDIA's product pages and datasheets.
BYTES_PER_S = {
    "NVIDIA H200": 4.8e12,
    "NVIDIA H100 80GB HBM3": 3.35e12,
    "NVIDIA H100 PCIe": 2.0e12,
    "NVIDIA A100-SXM4-80GB": 2.039e12,
    "NVIDIA A800-SXM4-80GB": 2.039e12,
    "NVIDIA A100 80GB PCIe": 1.935e12,
    "NVIDIA A800 80GB PCIe": 1.935e12,
    "NVIDIA A100-SXM4-40GB": 1.555e12,
    "NVIDIA L40S": 0.864e12,
    "NVIDIA GeForce RTX 4090": 1.008e12,
    "NVIDIA GeForce RTX 3090": 0.936e12,
}


def datasheet_bandwidth(device: str) -> float | None:
    """Bytes per second of a device by its whole name; None where none is known (a slice of a card, a CPU)."""
    return BYTES_PER_S.get(device)
