"""Force one kernel of torch's scaled dot-product attention, without a quiet fallback."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from sinkbench.errors import Unavailable
from sinkbench.model.families import shape_of

REFUSALS = "No available kernel", "No viable backend"  # what torch says, on CUDA and on a CPU
SWITCHED_OFF = "runtime disabled"  # what it warns of the kernels that `force_sdpa_backend` leaves out


@contextmanager
def force_sdpa_backend(name: str, model) -> Iterator[None]:
    """Let torch's attention use the kernel of this name (SDPBackend) alone; Unavailable if it refuses."""
    kernel = SDPBackend.__members__[name]
    try:
        with sdpa_kernel(kernel):
            yield
    except RuntimeError as error:
        if not any(words in str(error) for words in REFUSALS):
            raise
        raise Unavailable(
            f"torch's attention kernel {kernel.name}: {_reason(kernel, model, error)}"
        ) from error


def _reason(kernel: SDPBackend, model, error: RuntimeError) -> str:
    """Why: torch says it in warnings, so it is asked again, for one query over one key of the model."""
    shape = shape_of(model)
    query = torch.zeros(1, shape.heads, 1, shape.head_dim, dtype=model.dtype, device=model.device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with suppress(RuntimeError), sdpa_kernel(kernel):
            scaled_dot_product_attention(query, query, query)
    said = [str(warning.message).split("(Triggered")[0].strip() for warning in caught]
    reasons = [line for line in said if SWITCHED_OFF not in line and not line.endswith("because:")]
    return " ".join(reasons or str(error).splitlines()[:1])
