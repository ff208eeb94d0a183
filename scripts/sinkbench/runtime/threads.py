"""CPU threads of a measuring job."""

import os

import torch


def use_all_cores() -> None:
    """Compute on every core that this process may use.

    Snakemake tells a job to use as many threads as its rule reserves: one under `--cores 1`, which here means
    one job at a time. Where measuring jobs run side by side, each may use its GPU's share (gpu_lease).
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def use_cores_to_score(device: str, threads: int) -> None:
    """Compute on as many cores as the job's rule reserves; beside a GPU on all that this process may use.

    On a CPU scoring jobs run side by side: threads of one that wait for each other would hold up the rest.
    The number of threads does not depend on `--cores`, so NLLs do not either, to the last bit.

    Args:
        device: "cuda" or "cpu".
        threads: those of the rule.
    """
    if device == "cuda":
        use_all_cores()
    else:
        torch.set_num_threads(threads)
