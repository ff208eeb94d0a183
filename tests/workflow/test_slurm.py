"""The toy study's jobs through a real Slurm and Snakemake's own executor, where both are installed."""

import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise

import pytest
from one_node_slurm import missing, one_node_slurm
from workflow_runner import Checkout

LACKS = missing() or (
    "" if find_spec("snakemake_executor_plugin_slurm") else "no snakemake-executor-plugin-slurm"
)
METHOD = "streaming-4+124"
TARGETS = [f"results/toy/nll/{METHOD}/stdlib.parquet", f"results/toy/speed/{METHOD}.eager.parquet"]
# One small node, and no slower than it must be.
SMALL = ["--default-resources", "mem_mb=3000", "runtime=10", "cpus_per_task=1", "--latency-wait", "5"]
SMALL += ["--seconds-between-status-checks", "2", "--slurm-init-seconds-before-status-checks", "2"]


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKS), reason=f"Slurm: {LACKS}")
def test_jobs_run_on_slurm_and_measuring_jobs_hold_a_gpu(tmp_path):
    checkout = Checkout.new(tmp_path / "checkout")
    with one_node_slurm(tmp_path / "slurm") as environment:
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--resources", "gpu=8"]
        command += [*SMALL, "--configfile", "workflow/studies/demo.yaml", "toy.yaml", "--", *TARGETS]
        done = subprocess.run(
            command, cwd=checkout.folder, env=environment, capture_output=True, text=True, timeout=500
        )
        held = subprocess.run(
            ["scontrol", "show", "job"], env=environment, capture_output=True, text=True
        ).stdout
    print(done.stderr, held)  # docs/trust.md quotes it: pytest -s
    assert done.returncode == 0, done.stdout + done.stderr
    assert all((checkout.folder / target).is_file() for target in TARGETS)
    jobs = held.strip().split("\n\n")
    assert len(jobs) == 3 and all("JobState=COMPLETED" in job for job in jobs)
    assert sum("gres:gpu:1" in job or "gres/gpu=1" in job for job in jobs) == 2
    assert _one_after_the_other([job for job in jobs if "gpu" in job])


def _one_after_the_other(jobs: list[str]) -> bool:
    """Slurm gave its one GPU to one job at a time, though Snakemake allowed eight."""
    times = sorted(
        tuple(re.search(rf"{end}=(\S+)", job)[1] for end in ("StartTime", "EndTime")) for job in jobs
    )
    return all(ended <= started for (_, ended), (started, _) in pairwise(times))
