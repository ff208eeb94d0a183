"""On a CPU jobs that only score run side by side, and a job that is timed is alone; a GPU is held by each."""

import os
import re

import pytest
from sinkbench import scoring_threads, threads
from sinkbench.scoring_threads import use_cores
from workflow_runner import JOB, Checkout

CORES = len(os.sched_getaffinity(0))
TIMED, SCORED = ("speed", "profile"), ("quality",)


@pytest.mark.parametrize("device, cores, gpus", [("cpu", CORES, 0), ("cuda", 1, 1)])
def test_what_is_timed_is_alone_on_a_cpu_and_everything_measured_holds_a_gpu(device, cores, gpus, tmp_path):
    checkout = Checkout.new(tmp_path)
    checkout.write_config(checkout.config() | {"device": device})
    bodies = JOB.findall(checkout.snakemake("--dry-run", "--cores", "64").stdout)
    for kinds, taken in ((TIMED, cores), (SCORED, 1)):
        jobs = [body for name, body in bodies if name.endswith(kinds)]
        assert jobs and all(f"gpu={gpus}" in body for body in jobs)
        assert {_threads(body) for body in jobs} == {taken}


def _threads(body: str) -> int:
    """Snakemake leaves one out."""
    found = re.search(r"threads: (\d+)", body)
    return int(found[1]) if found else 1


def test_a_job_that_scores_computes_on_its_cores_and_beside_a_gpu_on_all(monkeypatch):
    used = []
    monkeypatch.setattr(scoring_threads.torch, "set_num_threads", used.append)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: range(7))
    use_cores("cpu", 3)
    use_cores("cuda", 1)
    assert used == [3, 7]
