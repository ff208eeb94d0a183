"""Lease a GPU to a measuring job, where several jobs of one host share several GPUs.

Snakemake counts GPUs (`--resources gpu=N`) and names none. Every measuring job takes a free GPU under a lock
of the operating system, which ends with the process. The job also takes the GPU's share of the cores: a
compiler that runs for one job would slow the kernel launches of another. The share does not depend on other
jobs, so that times are comparable. GPUs are taken to come in the order of the sockets, as drivers number them
along the PCI bus.
"""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from sinkbench.runtime.shell import try_run

VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def lease_gpu(
    device: str, shared: bool = False, locks: Path | None = None, wait_s: float = 1.0
) -> Iterator[str | None]:
    """Wait for a GPU and make it the only visible one within the block. Yields its name.

    The process, with what it starts, then keeps to the GPU's share of the cores.

    To be entered before CUDA is initialised. On a CPU, or where no driver names a GPU, nothing is done.

    Args:
        device: "cuda" or "cpu".
        shared: with other shared jobs, once no GPU is free; other jobs are alone on theirs.
        locks: folder of the lock files, one per user of the host by default.
    """
    names = visible_gpus() if device == "cuda" else []
    if not names:
        yield None
        return
    locks = locks or Path(tempfile.gettempdir()) / f"sinkbench-gpus-{os.getuid()}"
    locks.mkdir(parents=True, exist_ok=True)
    with _turn(locks, wait_s):
        name, lock = _wait_for_one(names, shared, locks, wait_s)
    try:
        with _only_visible(name), _only_on(share(names, name, cores())):
            yield name
    finally:
        os.close(lock)


@contextmanager
def _only_visible(name: str) -> Iterator[None]:
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = name
    try:
        yield
    finally:
        os.environ.pop(VISIBLE) if before is None else os.environ.update({VISIBLE: before})


@contextmanager
def _only_on(cores: list[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:  # a container's filter, say; times are taken all the same
        print(f"The system lets no job choose its cores ({error}): jobs share all of them.", file=sys.stderr)
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def cores() -> list[int]:
    """Cores that this process may use. Threads of a core and cores of a socket are neighbours."""
    return sorted(os.sched_getaffinity(0), key=_place)


def _place(core: int) -> tuple[int, int, int]:
    """Socket and physical core of one that the system counts; without its word every one is its own."""
    topology = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        socket, physical = (
            int((topology / f"{name}_id").read_text(encoding="utf-8"))
            for name in ("physical_package", "core")
        )
    except (OSError, ValueError):
        return 0, core, core
    return socket, physical, core


def share(gpus: list[str], name: str, cores: list[int]) -> list[int]:
    """The neighbouring cores that go with one of `gpus`; all cores if there are fewer than GPUs."""
    place, places = gpus.index(name), len(gpus)
    if len(cores) < places:
        return cores
    return cores[len(cores) * place // places : len(cores) * (place + 1) // places]


def visible_gpus() -> list[str]:
    """Names (UUIDs) of the GPUs that this process may use, or those of CUDA_VISIBLE_DEVICES."""
    known = _known_gpus()
    chosen = os.environ.get(VISIBLE)
    if chosen is None:
        return list(known.values())
    return [known.get(name.strip(), name.strip()) for name in chosen.split(",") if name.strip()]


def _known_gpus() -> dict[str, str]:
    """UUIDs by number, as the driver's own tool knows them: torch would initialise CUDA to tell."""
    answer = try_run("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader") or ""
    return dict(line.split(", ") for line in answer.splitlines())


@contextmanager
def _turn(locks: Path, wait_s: float) -> Iterator[None]:
    """Jobs wait one behind another: else one that wants a GPU alone might wait for ever beside sharers."""
    turn = os.open(locks / "turn", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locked(turn, fcntl.LOCK_EX):
            time.sleep(wait_s)
        yield
    finally:
        os.close(turn)


def _wait_for_one(names: list[str], shared: bool, locks: Path, wait_s: float) -> tuple[str, int]:
    """(name, open lock file) of a GPU of its own; where a shared job finds none, of one that others share."""
    tries = [(fcntl.LOCK_EX, fcntl.LOCK_SH), (fcntl.LOCK_SH,)] if shared else [(fcntl.LOCK_EX,)]
    while True:
        for kinds in tries:
            for name in names:
                lock = os.open(locks / name, os.O_RDWR | os.O_CREAT, 0o600)
                if all(_locked(lock, kind) for kind in kinds):
                    return name, lock
                os.close(lock)
        time.sleep(wait_s)


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _go_on_without_locks(error.strerror)
    return True


@cache
def _go_on_without_locks(why: str) -> None:
    """Say it once in a process."""
    print(f"GPUs cannot be locked ({why}): jobs that run at once may share one", file=sys.stderr)
