"""A hub, or what stands in its place, cannot serve other files than those that were expected."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from fake_hub import REVISION, FakeHub
from sinkbench.artifacts.hub import hub_folder, is_fetched, record_path
from sinkbench.artifacts.hub_lock import LOCK, check_record, lock_digests
from sinkbench.errors import UserError
from test_hub import fetch, refused

REPOSITORY = {
    "repo": "org/neox",
    "revision": REVISION,
    "kind": "model",
    "patterns": ["*.json", "*.safetensors"],
}
FILES = {"config.json": b"{}", "model.safetensors": b"weights", 'it\'s: a "name".json': b"[]"}
FOLDER = hub_folder("org/neox", REVISION)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def served(**changes: bytes) -> FakeHub:
    """A hub whose own hashes are right, whatever it serves."""
    return FakeHub(
        "org/neox", "model", {**FILES, **{name.replace("_", "."): new for name, new in changes.items()}}
    )


def key(name: str) -> str:
    return f"org/neox@{REVISION}/{name}"


def lines() -> list[str]:
    """The lock without its comment."""
    return [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]


def test_the_first_fetch_writes_one_line_a_file():
    with served() as hub:
        fetch(hub, REPOSITORY)
    expected = {key(name): hub.hashes[name] for name in FILES}
    assert lines() == [f"{json.dumps(name)}: {json.dumps(expected[name])}" for name in sorted(expected)]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_mirror_with_other_content_is_refused(name):
    """Although it vouches for that content itself; what was fetched before stays as it was."""
    with served() as hub:
        fetch(hub, REPOSITORY)
    record_path(REPOSITORY).unlink()
    before = LOCK.read_text()
    with served(**{name.replace(".", "_"): b"others"}) as mirror:
        said = refused(mirror, REPOSITORY)
        assert said == (
            f"error: resources/hub.lock: {key(name)}: expected sha256 {hub.hashes[name]}, "
            f"got {mirror.hashes[name]}; to accept that, delete the lines of org/neox@0123456789ab"
        )
        assert [path for path, _ in mirror.requests if path.startswith("/large/")] == []
        assert (FOLDER / name).read_bytes() == FILES[name]
        assert not is_fetched(REPOSITORY) and LOCK.read_text() == before
        assert not list(FOLDER.glob("*.partial"))
        LOCK.write_text(before.splitlines()[0])  # its comment
        fetch(mirror, REPOSITORY)
    assert (FOLDER / name).read_bytes() == b"others" and len(lines()) == len(FILES)


def test_a_fetch_without_a_record_or_a_folder_is_compared_too():
    """On another machine, which has nothing but the lock of the checkout."""
    with served() as hub:
        lock_digests("org/neox", REVISION, {"model.safetensors": "0" * 64})
        assert f"expected sha256 {'0' * 64}" in refused(hub, REPOSITORY)
    assert not (FOLDER / "model.safetensors").exists()


def test_a_digest_of_the_config_is_compared():
    with served() as hub:
        said = refused(hub, REPOSITORY, stated={"model.safetensors": "1" * 64})
        assert said.startswith(f"error: config: {key('model.safetensors')}: expected sha256 {'1' * 64}, got ")
        said = refused(hub, REPOSITORY, stated={"weights.safetensors": "1" * 64})
        assert f"sha256: {key('weights.safetensors')} is not among the files: " in said
        fetch(hub, REPOSITORY, stated={"model.safetensors": hub.hashes["model.safetensors"]})


PART = "z.safetensors"


@pytest.mark.parametrize("known", ["config", "lock"])
@pytest.mark.parametrize("change", ["more", "fewer"])
def test_one_file_more_or_fewer_is_refused(known, change):
    """A checkpoint could be loaded from a part that nobody knew, a text lack one."""
    few, many = served(), FakeHub("org/neox", "model", FILES | {PART: b"other weights"})
    first, mirror = (few, many) if change == "more" else (many, few)
    weights = [{"model.safetensors"}, {"model.safetensors", PART}]
    before, after = (", ".join(sorted(names)) for names in (weights if change == "more" else weights[::-1]))
    stated = {name: first.hashes[name] for name in first.files if name.endswith(".safetensors")}
    if known == "lock":
        with first:
            fetch(first, REPOSITORY)
    with mirror:
        said = refused(mirror, REPOSITORY, stated={} if known == "lock" else stated)
    if known == "config" and change == "fewer":
        assert f"config: sha256: {key(PART)} is not among the files" in said
    else:
        assert f"{key('*.safetensors')}: expected {before}, got {after}; to accept that, " in said
    assert not (mirror.requests and any(path.startswith("/large/") for path, _ in mirror.requests))


def test_what_was_fetched_before_is_compared_as_well():
    with served() as hub:
        fetch(hub, REPOSITORY)
    check_record(REPOSITORY, {"config.json": hub.hashes["config.json"]})
    with pytest.raises(UserError, match=r"^config: .*config\.json: expected sha256 1+, got [0-9a-f]{64}; "):
        check_record(REPOSITORY, {"config.json": "1" * 64})
    LOCK.write_text(LOCK.read_text().replace(hub.hashes["config.json"], "2" * 64))
    with pytest.raises(UserError, match=r"^resources/hub\.lock: .*config\.json: expected sha256 2+, got "):
        check_record(REPOSITORY, {})


def lock_one(number: int) -> None:
    lock_digests("org/neox", REVISION, {f"{number}.json": f"{number:064x}"})


def test_fetches_at_the_same_time_lose_no_line():
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(lock_one, range(40)))
    assert len(lines()) == 40 and not list(Path("resources").rglob("*.partial"))


@pytest.mark.parametrize("content", ["[", "- a", "a: 1", "text"])
def test_a_lock_that_cannot_be_read_is_one_line(content):
    LOCK.parent.mkdir()
    LOCK.write_text(content)
    with pytest.raises(UserError, match=r"^resources/hub\.lock: [^\n]+$"):
        lock_one(1)
