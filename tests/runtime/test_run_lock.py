"""Where the file system keeps no locks, all goes on, with one line."""

import errno
import fcntl
import os

import pytest
from sinkbench.runtime import gpu_lease, run_lock

CODES = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EACCES]


@pytest.fixture(params=CODES, ids=errno.errorcode.get)
def without_locks(request, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_run_goes_on_without_its_lock(without_locks, capsys):
    assert run_lock.hold_run_lock() is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(".snakemake/present.lock: no lock on this file system (")


def test_nobody_can_tell_whether_a_run_is_alive(without_locks):
    run_lock.LEFT.mkdir(parents=True)
    (run_lock.LEFT / "0.input.lock").touch()
    assert not run_lock.is_left_by_a_killed_run()
    with run_lock.try_exclusive() as is_free:
        assert is_free is None


def test_a_gpu_is_taken_without_its_lock(without_locks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_lease, "visible_gpus", lambda: ["GPU-0"])
    with gpu_lease.lease_gpu("cuda", locks=tmp_path) as name:
        assert name == "GPU-0"
    assert "GPUs cannot be locked" in capsys.readouterr().err


def test_with_locks_a_second_run_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = run_lock.hold_run_lock()
    with run_lock.try_exclusive() as is_free:
        assert is_free is False
    held.close()
    with run_lock.try_exclusive() as is_free:
        assert is_free is True
