"""Jobs that share a host's GPUs: each timing job alone on one, quality jobs together once none is free."""

import os
import select
import subprocess
import sys
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinkbench.runtime import gpu_lease
from sinkbench.runtime.gpu_lease import VISIBLE, cores, lease_gpu, share, visible_gpus

TWO = {"0": "GPU-a", "1": "GPU-b"}
JOB = """
import os, sys
from pathlib import Path
from sinkbench.runtime import gpu_lease
kind, locks, names = sys.argv[1:]
gpu_lease._known_gpus = lambda: dict(enumerate(names.split(",")))
with gpu_lease.lease_gpu("cuda", shared=kind == "quality", locks=Path(locks), wait_s=0.01):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


class Host:
    """Starts jobs, as processes, that share two GPUs."""

    def __init__(self, locks: Path, jobs: ExitStack):
        self.locks, self.jobs = locks, jobs

    def start(self, kind: str, names: str = "GPU-a,GPU-b") -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(Path(gpu_lease.__file__).parents[2])}
        environment.pop(VISIBLE, None)
        command = [sys.executable, "-c", JOB, kind, str(self.locks), names]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        job = self.jobs.enter_context(subprocess.Popen(command, env=environment, **pipes))
        self.jobs.callback(job.kill)
        return job


@pytest.fixture
def host(tmp_path):
    with ExitStack() as jobs:
        yield Host(tmp_path, jobs)


def waits(job: subprocess.Popen) -> bool:
    """Whether the job has no GPU after a second, in which the others got theirs."""
    return not select.select([job.stdout], [], [], 1.0)[0]


def its_gpu(job: subprocess.Popen) -> str:
    return job.stdout.readline().strip()


@pytest.mark.parametrize("further", ["timing", "quality"])
def test_timing_jobs_are_alone_on_their_gpus(host, further):
    first, second = host.start("timing"), host.start("timing")
    assert {its_gpu(first), its_gpu(second)} == {"GPU-a", "GPU-b"}
    third = host.start(further)
    assert waits(third)
    first.communicate()
    assert its_gpu(third) in TWO.values()


def test_timing_jobs_keep_to_cores_of_their_own(host):
    for job in (host.start("timing"), host.start("timing")):
        expected = set(share(["GPU-a", "GPU-b"], its_gpu(job), cores()))
        assert os.sched_getaffinity(job.pid) == expected


def test_threads_of_one_core_stay_together(monkeypatch):
    """As Linux numbers them on two sockets: first threads of all cores, then second ones."""
    sockets = {core: (core % 8 // 4, core % 4, core) for core in range(16)}
    monkeypatch.setattr(gpu_lease, "_place", sockets.get)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(sockets))
    assert share(["GPU-a", "GPU-b"], "GPU-b", cores()) == [4, 12, 5, 13, 6, 14, 7, 15]


def test_sockets_and_cores_are_read_where_the_system_tells_them(tmp_path, monkeypatch):
    """Core 0 is on another socket than core 1; of core 2 nothing is told."""
    monkeypatch.setattr(gpu_lease, "Path", lambda path: tmp_path / path.lstrip("/"))
    for core, (socket, physical) in enumerate([(1, 3), (0, 1)]):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{core}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{socket}\n")
        (topology / "core_id").write_text(f"{physical}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert [gpu_lease._place(core) for core in range(3)] == [(1, 3, 0), (0, 1, 1), (0, 2, 2)]
    assert cores() == [1, 2, 0]


def test_a_system_that_forbids_choosing_cores_stops_no_job(tmp_path, monkeypatch, capsys):
    def forbid(*_):
        raise PermissionError("not permitted")

    monkeypatch.setattr(gpu_lease, "_known_gpus", lambda: TWO)
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    with lease_gpu("cuda", locks=tmp_path) as name:
        assert name == "GPU-a"
    assert "lets no job choose its cores (not permitted)" in capsys.readouterr().err


@given(count=st.integers(1, 200), places=st.integers(1, 9))
def test_shares_of_the_cores_are_neighbours_and_leave_none_out(count, places):
    all_cores, names = list(range(count)), [f"GPU-{place}" for place in range(places)]
    shares = [share(names, name, all_cores) for name in names]
    assert list(chain(*shares)) == (all_cores if count >= places else all_cores * places)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_quality_jobs_spread_first_and_then_share_but_not_with_a_timing_job(host):
    names = []
    for _ in range(3):
        quality = host.start("quality")
        names.append(its_gpu(quality))
    assert names == ["GPU-a", "GPU-b", "GPU-a"]
    timing = host.start("timing", "GPU-a")
    assert waits(timing)


def test_a_timing_job_that_waits_comes_before_quality_jobs_that_come_later(host):
    first = host.start("quality", "GPU-a")
    assert its_gpu(first) == "GPU-a"
    timing = host.start("timing", "GPU-a")
    assert waits(timing)
    later = host.start("quality", "GPU-a")
    assert waits(later)
    first.communicate()
    assert its_gpu(timing) == "GPU-a" and waits(later)
    timing.communicate()
    assert its_gpu(later) == "GPU-a"


def test_the_lock_goes_with_a_killed_process(host):
    first = host.start("timing", "GPU-a")
    assert its_gpu(first) == "GPU-a"
    second = host.start("timing", "GPU-a")
    assert waits(second)
    first.kill()
    assert its_gpu(second) == "GPU-a"


def test_only_visible_gpus_are_taken_and_the_process_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_lease, "_known_gpus", lambda: TWO)
    monkeypatch.setenv(VISIBLE, "1, MIG-c")
    cores = os.sched_getaffinity(0)
    assert visible_gpus() == ["GPU-b", "MIG-c"]
    with lease_gpu("cuda", locks=tmp_path) as name:
        assert name == os.environ[VISIBLE] == "GPU-b"
    assert os.environ[VISIBLE] == "1, MIG-c" and os.sched_getaffinity(0) == cores


def test_a_study_on_the_cpu_takes_none(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_lease, "_known_gpus", lambda: TWO)
    monkeypatch.delenv(VISIBLE, raising=False)
    with lease_gpu("cpu", locks=tmp_path) as name:
        assert name is None
    assert VISIBLE not in os.environ and not list(tmp_path.iterdir())
