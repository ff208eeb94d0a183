"""Tell what a machine or its libraries lack, by named causes, from faults, which are all other errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sinkbench.errors import Unavailable, first_line


@dataclass(frozen=True)
class Lack:
    """An error by which a library says that something is lacking.

    Args:
        kind: its class.
        words: of which its message has one; without any, the class says it.
    """

    kind: type[Exception]
    words: tuple[str, ...] = ("",)

    def is_said_by(self, error: BaseException) -> bool:
        """Whether the error is of this kind and says so."""
        ours = str(getattr(error, "name", "")).startswith(
            "sinkbench"
        )  # a module of ours is no package that lacks
        return not ours and isinstance(error, self.kind) and any(words in str(error) for words in self.words)


PACKAGE = Lack(ImportError)
NO_CUDA = Lack(  # what torch says where there is no CUDA: no driver, an old one, no device, a CPU build
    Exception,
    (
        "Found no NVIDIA driver",
        "driver on your system is too old",
        "No CUDA GPUs are available",
        "no CUDA-capable device",
        "not compiled with CUDA",
        "not linked with support for cuda",
    ),
)
ON_CHIP_MEMORY = Lack(Exception, ("out of resource:",))  # what Triton's kernels find too small on this device

# What CUDA says of an operation that no graph can hold, such as one that waits for the device.
NOT_CAPTURED = Lack(RuntimeError, ("cudaErrorStreamCapture", "not permitted when stream is capturing"))


@contextmanager
def unavailable_on(*lacks: Lack, what: str) -> Iterator[None]:
    """Raise errors that began with one of these as Unavailable: `what`, and the first line of the reason.

    What followed from it does not count: a fault during a capture also ends the capture. Out of memory says
    nothing about the engine, so it stays torch.OutOfMemoryError, however wrapped. All else is raised.
    """
    try:
        yield
    except Unavailable:
        raise
    except Exception as error:
        *followed, began = _causes(error)
        for cause in (*followed, began):
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
        if not any(lack.is_said_by(began) for lack in lacks):
            raise
        raise Unavailable(f"{what}: {first_line(began)}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it; torch's compilers carry it along, Python chains it.

    A package that a library did without led to nothing: only an import that failed of itself, or that an
    error names as its cause, counts.
    """
    while error is not None:
        yield error
        done_without = error.__suppress_context__ or isinstance(error.__context__, ImportError)
        context = None if done_without else error.__context__
        error = getattr(error, "inner_exception", None) or error.__cause__ or context
