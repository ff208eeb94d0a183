"""Places of a text that are continued, and whether a continuation has become a loop."""

from collections.abc import Sequence

import numpy as np

TAIL, LONGEST_PERIOD = 64, 32  # tokens


def spread(lengths: Sequence[int], count: int) -> np.ndarray:
    """Indices [count] into documents of these lengths, one behind another, from which stretches start.

    The first are the documents' beginnings. Where there are fewer documents than places, the others lie
    within them, so that each document is cut into equal parts, or as nearly as their number allows.
    """
    begins = np.cumsum([0, *lengths])[:-1]
    laps = -(-count // len(begins))
    within = [lap * np.asarray(lengths) // laps for lap in range(laps)]
    return np.concatenate([begins + offset for offset in within])[:count]


def has_looped(ids: Sequence[int]) -> bool | None:
    """Whether the last TAIL ids repeat with a period of at most LONGEST_PERIOD; None of fewer ids."""
    if len(ids) < TAIL:
        return None
    tail = list(ids[-TAIL:])
    return any(tail[period:] == tail[:-period] for period in range(1, LONGEST_PERIOD + 1))
