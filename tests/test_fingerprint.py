"""The fingerprint changes with the meaning of code that is imported, and with nothing else."""

import shutil

import pytest
from sinkbench.fingerprint import fingerprint

SCRIPT = 'from sinkbench.used import thing\n\nif __name__ == "__main__":\n    thing(snakemake.input)\n'
USED = 'def thing(x, scale=2):\n    """Doc."""\n    return f"{x * scale}"\n'


@pytest.fixture
def code(tmp_path):
    root = tmp_path / "code"
    package = root / "sinkbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "used.py").write_text(USED)
    (package / "unused.py").write_text("x = 1\n")
    (root / "script.py").write_text(SCRIPT)
    return root


def edited(code, name: str, content: str) -> bool:
    """Whether the script's fingerprint notices that a module now has this content (in a fresh copy)."""
    copy = code.with_name("copy")
    shutil.copytree(code, copy)
    (copy / "sinkbench" / name).write_text(content)
    return fingerprint(copy, "script.py") != fingerprint(code, "script.py")


@pytest.mark.parametrize(
    "content",
    [
        "# A comment.\n" + USED,
        USED.replace("Doc.", "Another text."),
        USED.replace("scale=2", "scale = 2").replace('f"{x * scale}"', "f'{x*scale}'"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(code, content):
    assert not edited(code, "used.py", content)


@pytest.mark.parametrize(
    "content", [USED.replace("2", "3"), USED.replace("x * scale", "x + scale"), USED + "y = 1\n"]
)
def test_meaning_counts(code, content):
    assert edited(code, "used.py", content)


def test_modules_that_are_not_imported_do_not_count(code):
    assert not edited(code, "unused.py", "x = 2\n")


def test_packages_of_imported_modules_count(code):
    assert edited(code, "__init__.py", "x = 2\n")


def test_files_named_at_run_time_count(code):
    assert fingerprint(code, "script.py") != fingerprint(code, "script.py", "sinkbench/unused.py")


def test_the_folder_does_not_count(code):
    moved = code.with_name("moved")
    shutil.copytree(code, moved)
    assert fingerprint(moved, "script.py") == fingerprint(code, "script.py")
