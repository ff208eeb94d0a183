"""No kernel reads faster than the memory: a profile in which one does is wrong."""

import pandas as pd
import torch

from sinkbench.results.datasheet import datasheet_bandwidth
from sinkbench.runtime.memory import measure_bandwidth

MARGIN = 1.1  # over a bandwidth that was measured, which is below what a card can do
CACHEFULS = 4  # a step that reads less than so many last-level caches may find its weights there


def check_read_rates(table: pd.DataFrame, read: dict[str, int], device: torch.device) -> None:
    """Check the median profiled step against the datasheet, or the measured bandwidth of an unknown card.

    Args:
        table: profile.kernel_table.
        read: bytes that the launches of each kernel must read in a step, by its name.

    Raises:
        RuntimeError: a kernel would have read faster, or does not appear in the profile.
    """
    about = torch.cuda.get_device_properties(device)
    if sum(read.values()) < CACHEFULS * about.L2_cache_size:
        return
    limit = datasheet_bandwidth(about.name) or MARGIN * measure_bandwidth(device)["read"]
    assert_slower(table, read, limit)


def assert_slower(table: pd.DataFrame, read: dict[str, int], limit: float) -> None:
    """`check_read_rates` against a limit in bytes per second."""
    times = table.pivot_table(index="step", columns="kernel", values="ms", aggfunc="sum").median()
    for kernel, nbytes in read.items():
        if kernel not in times:
            raise RuntimeError(f"no launch of {kernel} is in the profile")
        rate = 1e3 * nbytes / times[kernel]
        if rate > limit:
            said = f"{kernel} would read {rate / 1e12:.2f} TB/s of at most {limit / 1e12:.2f}"
            raise RuntimeError(f"the profile is wrong: {said}")
