"""CPU threads of a job that nobody times; apart from `threads`, so that no timing depends on what is here."""

import torch

from sinkbench.runtime.threads import use_all_cores


def use_cores_to_score(device: str, threads: int) -> None:
    """Compute on as many cores as the job's rule reserves; beside a GPU on all that this process may use.

    On a CPU such jobs run side by side, and threads of one that wait for each other would hold up the rest.
    The same number whatever `--cores` says: NLLs are then the same bit for bit.

    Args:
        device: "cuda" or "cpu".
        threads: those of the rule.
    """
    if device == "cuda":
        use_all_cores()
    else:
        torch.set_num_threads(threads)
