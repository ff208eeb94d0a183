"""Turn errors of compilers and drivers into Unavailable."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sinkbench.errors import Unavailable


@contextmanager
def unavailable_on(*kinds: type[Exception], what: str) -> Iterator[None]:
    """Raise errors of these kinds as Unavailable: `what`, and the first line of the reason.

    Out of memory says nothing about the engine, so it stays torch.OutOfMemoryError, however wrapped.
    """
    try:
        yield
    except kinds as error:
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
        reason = ([error] + [cause for cause in causes if isinstance(cause, RuntimeError)])[-1]
        line = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        raise Unavailable(f"{what}: {line}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it; torch's compilers carry it along, Python chains it."""
    while error is not None:
        yield error
        error = getattr(error, "inner_exception", None) or error.__cause__ or error.__context__
