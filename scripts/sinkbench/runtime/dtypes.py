"""Number formats for computations."""

import torch


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The type in which values of `dtype` are rotated and scored: float32, or float64 for a float64 model."""
    return torch.promote_types(dtype, torch.float32)
