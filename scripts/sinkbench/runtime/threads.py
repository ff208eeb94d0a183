"""CPU threads of a measuring job."""

import os

import torch


def use_all_cores() -> None:
    """Compute on every core that this process may use.

    Snakemake tells a job to use as many threads as its rule reserves: one under `--cores 1`, which here means
    one job at a time. Where measuring jobs run side by side, each may use its GPU's share (gpu_lease.gpu).
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
