"""Commit and dirty flag of a record speak of this checkout alone."""

import os
import subprocess

import pytest
from sinkbench.runtime import environment


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a file of code, as the checkout of the library; git reads no config of the user."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "outer/checkout"
    (folder / "scripts/sinkbench/policies").mkdir(parents=True)
    (folder / "scripts/measure.py").write_text("x = 1\n")
    commit(folder)
    monkeypatch.setattr(environment, "CHECKOUT", folder)
    return folder


def git(folder, *command: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *command], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_is_that_of_the_checkout_wherever_a_job_runs(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert environment._commit() == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


def test_a_tarball_inside_a_repository_has_no_commit(checkout, tmp_path):
    (checkout / ".git").rename(tmp_path / "gone")
    commit(tmp_path / "outer")
    assert environment._commit() == {"commit": None, "dirty": None}


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"])
def test_no_variable_of_git_has_a_say(checkout, tmp_path, monkeypatch, name):
    expected = environment._commit()
    commit(tmp_path / "outer")
    monkeypatch.setenv(name, str(tmp_path / "outer/.git"))
    assert environment._commit() == expected


def test_a_worktree_is_a_checkout(checkout, tmp_path, monkeypatch):
    git(checkout, "worktree", "add", "--quiet", tmp_path / "other")
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path / "other")
    assert environment._commit() == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


def test_a_repository_without_a_commit_is_dirty(checkout, tmp_path):
    (checkout / ".git").rename(tmp_path / "gone")
    git(checkout, "init", "--quiet")
    assert environment._commit() == {"commit": None, "dirty": True}


def edit(folder):
    (folder / "scripts/measure.py").write_text("x = 2\n")


def add(folder, name="scripts/sinkbench/policies/new.py"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("y = 1\n")


def ignore(folder):
    (folder / ".git/info/exclude").write_text("new.py\n")
    add(folder)


def hide_untracked(folder):
    git(folder, "config", "status.showUntrackedFiles", "no")
    add(folder)


def assume_unchanged(folder):
    git(folder, "update-index", "--assume-unchanged", "scripts/measure.py")
    edit(folder)


def nest_a_repository(folder):
    add(folder, "workflow/inner/rules.smk")
    commit(folder / "workflow/inner")


@pytest.mark.parametrize("change", [edit, add, ignore, hide_untracked, assume_unchanged, nest_a_repository])
def test_changed_and_untracked_code_is_dirty(checkout, change):
    change(checkout)
    assert environment._commit()["dirty"] is True


@pytest.mark.parametrize("name", ["results/x.csv", "notes.txt", "scripts/sinkbench/__pycache__/a.pyc"])
def test_other_untracked_files_are_not(checkout, name):
    add(checkout, name)
    assert environment._commit()["dirty"] is False
