"""The fingerprint changes with the meaning of code that is imported, and with nothing else."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from sinkbench.artifacts.fingerprint import _canonical, fingerprint

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


def other_pythons() -> list[str]:
    """Interpreters of other minor versions (3.10 or newer) that this machine has."""
    own, minors = sys.version_info.minor, range(10, 16)
    found = [shutil.which(f"python3.{minor}") for minor in minors if minor != own]
    managed = Path(os.environ.get("PYENV_ROOT", "none"), "versions")
    found += [path for minor in minors if minor != own for path in managed.glob(f"3.{minor}.*/bin/python3")]
    working = "import sys; sys.exit(sys.version_info < (3, 10))"
    return [str(path) for path in found if path and runs(path, working)[0] == 0]


def runs(python, program: str) -> tuple[int, str]:
    done = subprocess.run([python, "-c", program], cwd=ROOT / "scripts", capture_output=True, text=True)
    return done.returncode, done.stdout


def test_all_pythons_agree_on_all_code():
    """A result carried to a machine with another Python is as fresh as it was."""
    program = (
        "import sys; sys.path.insert(0, '.'); from pathlib import Path\n"
        "from sinkbench.artifacts.fingerprint import _canonical_source as text\n"
        "import hashlib\n"
        "for path in sorted(Path('.').rglob('*.py')):\n"
        "    print(path, hashlib.md5(text(path).encode()).hexdigest())"
    )
    pythons = other_pythons()
    if not pythons:
        pytest.skip("this machine has one Python only")
    _, expected = runs(sys.executable, program)
    assert expected
    for python in pythons:
        assert runs(python, program) == (0, expected), python


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Python 3.12.1 ends the format of an f-string in an empty piece.
        (ast.JoinedStr([ast.Constant("a"), ast.Constant("")]), ast.JoinedStr([ast.Constant("a")])),
        (ast.Pass(), ast.Pass(a_field_of_tomorrow=[])),
    ],
)
def test_trees_that_pythons_make_of_one_code_are_one(old, new):
    new._fields = (*new._fields, *(("a_field_of_tomorrow",) if hasattr(new, "a_field_of_tomorrow") else ()))
    assert _canonical(old) == _canonical(new)


def test_pieces_of_f_strings_count():
    pieces = [ast.Constant("a"), ast.Constant("b")]
    assert _canonical(ast.JoinedStr(pieces)) != _canonical(ast.JoinedStr(pieces[:1]))
