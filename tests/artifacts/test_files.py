"""Results are written whole or not at all, and read only if they are whole and ours."""

import os
import resource
import subprocess
from contextlib import contextmanager

import pandas as pd
import pytest
from disks import small_disk
from sinkbench.artifacts.files import atomic_folder, atomic_write, read_json, write_json
from sinkbench.artifacts.fingerprint import settings_hash
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.errors import UserError

SMALL, LARGE = pd.DataFrame({"nll": [1.0, 2.0]}), pd.DataFrame({"nll": [i**0.5 for i in range(100_000)]})
NOTES = {"stamp": "abc", "status": "ok"}


@contextmanager
def limited_file_size(limit_bytes: int):
    """Within the block no file can grow beyond the limit: a write that fails, for any user."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill_table(path) -> None:
    write_table(path, LARGE, NOTES)


def fill_json(path) -> None:
    write_json(path, {"values": list(range(100_000))})


def assert_fails_and_keeps_the_old(write, path, reason: str) -> None:
    """The line names the file and the reason; the old file is untouched and nothing else is left."""
    before = path.read_bytes()
    with pytest.raises(UserError, match=rf"^{path}: cannot be written: .*{reason}"):
        write(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("write", [fill_table, fill_json])
def test_write_that_fails_keeps_the_old_file(write, tmp_path):
    write_table(tmp_path / "results" / "file", SMALL, NOTES)
    with limited_file_size(20_000):
        assert_fails_and_keeps_the_old(write, tmp_path / "results" / "file", "File too large")


@pytest.mark.parametrize("write", [fill_table, fill_json])
def test_full_disk_keeps_the_old_file(write, tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        write_table(disk / "file", SMALL, NOTES)
        assert_fails_and_keeps_the_old(write, disk / "file", "No space left on device")


def fill_folder(path, name: str, error: Exception | None = None) -> None:
    with atomic_folder(path) as folder:
        (folder / name).write_text(name)
        if error:
            raise error


@pytest.mark.parametrize(
    ("error", "raised"), [(OSError(28, "No space"), UserError), (RuntimeError(), RuntimeError)]
)
def test_a_folder_is_replaced_whole_or_stays(tmp_path, error, raised):
    kept = tmp_path / "reference/study"
    fill_folder(kept, "first")
    with pytest.raises(raised):
        fill_folder(kept, "second", error)
    assert [path.name for path in kept.iterdir()] == ["first"]
    fill_folder(kept, "third")
    assert [path.name for path in kept.iterdir()] == ["third"]
    assert [path.name for path in kept.parent.iterdir()] == ["study"]


def test_what_a_killed_process_left_of_a_folder_is_removed(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, alive = (tmp_path / f".study.{pid}.partial" for pid in (ended.pid, os.getppid()))
    for left in (dead, alive):
        (left / "within").mkdir(parents=True)
    fill_folder(tmp_path / "study", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"study", alive.name}


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match="results/file: cannot be written: "):
        fill_json(tmp_path / "results" / "file")


def test_block_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), atomic_write(tmp_path / "file") as partial:
        partial.write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_table_comes_back(tmp_path):
    write_table(tmp_path / "t.parquet", LARGE, NOTES)
    frame, notes = read_table(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(frame, LARGE)
    assert notes == NOTES


@pytest.mark.parametrize("kept", [0, 3, 100, 400_000, -1])
def test_damaged_table_is_one_line(tmp_path, kept):
    path = tmp_path / "t.parquet"
    fill_table(path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "not a readable result" in refusal(read_table, path)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_altered_table_is_one_line(tmp_path, place):
    path = tmp_path / "t.parquet"
    fill_table(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    assert "not a readable result" in refusal(read_table, path)


def test_tables_of_others_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    SMALL.to_parquet(path)
    assert "without the notes of this workflow" in refusal(read_table, path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"NaN,"])
def test_damaged_record_is_one_line(tmp_path, content):
    path = tmp_path / "record.json"
    assert "No such file" in refusal(read_json, path)
    path.write_bytes(content)
    assert "not a readable record" in refusal(read_json, path)


def refusal(read, path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert said.endswith("delete it and run again")
    assert "\n" not in said
    return said


def test_stamp_tells_settings_apart_but_not_their_order():
    assert settings_hash({"a": 1, "b": [2]}) == settings_hash({"b": [2], "a": 1})
    assert settings_hash({"a": 1, "b": [2]}) != settings_hash({"a": 1, "b": [3]})
