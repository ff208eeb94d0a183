"""How much of a multiprocessor's on-chip memory a kernel gets as shared memory; the rest is its L1 cache.

The driver chooses by what a block declares, and knows nothing of the loads in flight that need the cache.
Changes no result.
"""

import ctypes
from functools import cache

PREFERRED_SHARED_MEMORY_CARVEOUT = 9  # CUfunction_attribute


@cache
def prefer_shared(function: int, percent: int) -> None:
    """Ask the driver for `percent` of the memory as shared memory wherever a function runs, once.

    Args:
        function: handle of a kernel that the driver has loaded (CUfunction).

    Raises:
        RuntimeError: the driver refuses.
    """
    driver = ctypes.CDLL("libcuda.so.1")
    attribute = ctypes.c_int(PREFERRED_SHARED_MEMORY_CARVEOUT)
    if status := driver.cuFuncSetAttribute(ctypes.c_void_p(function), attribute, ctypes.c_int(percent)):
        raise RuntimeError(f"cuFuncSetAttribute: status {status} for a carve-out of {percent} %")
