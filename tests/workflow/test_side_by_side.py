"""On a CPU jobs that only score run side by side, and a job that is timed is alone; a GPU is held by each."""

import re

import pytest
from sinkbench.artifacts.parquet import read_table
from sinkbench.runtime import threads
from sinkbench.runtime.threads import use_cores_to_score
from workflow_runner import JOB, Checkout

TIMED, SCORED = ("speed", "profile"), ("quality", "recall", "sinks", "continuation")


@pytest.mark.parametrize(("device", "gpus", "offered"), [("cpu", 0, 1), ("cpu", 0, 64), ("cuda", 1, 64)])
def test_what_is_timed_is_alone_on_a_cpu_and_holds_a_gpu_elsewhere(device, gpus, offered, tmp_path):
    checkout = Checkout.new(tmp_path)
    checkout.write_config(checkout.config() | {"device": device})
    bodies = JOB.findall(checkout.snakemake("--dry-run", "--cores", str(offered)).stdout)
    for kinds, taken in ((TIMED, offered if device == "cpu" else 1), (SCORED, 1)):
        jobs = [body for name, body in bodies if name.endswith(kinds)]
        assert jobs and {_number("threads: ", body) for body in jobs} == {taken}
        assert {_number("gpu=", body) for body in jobs} == {gpus}


def _number(word: str, body: str) -> int:
    """Of threads Snakemake leaves out a single one."""
    found = re.search(rf"{word}(\d+)", body)
    return int(found[1]) if found else 1


def test_side_by_side_gives_the_same_nlls_bit_for_bit(finished, tmp_path):
    checkout, methods = Checkout.new(tmp_path), ("dense", "streaming-4+124")
    targets = [f"results/toy/nll/{method}/stdlib.parquet" for method in methods]
    done = checkout.snakemake(*targets, "--cores", "2")
    assert done.returncode == 0, done.stdout
    for target in targets:
        one, two = (read_table(run.folder / target)[0]["nll"].to_numpy() for run in (finished, checkout))
        assert len(one) and one.tobytes() == two.tobytes()


def test_a_job_that_scores_computes_on_its_cores_and_beside_a_gpu_on_all(monkeypatch):
    used = []
    monkeypatch.setattr(threads.torch, "set_num_threads", used.append)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: range(7))
    use_cores_to_score("cpu", 3)
    use_cores_to_score("cuda", 1)
    assert used == [3, 7]
