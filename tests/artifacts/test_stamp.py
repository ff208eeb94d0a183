"""What a result says of its code is taken of the library that the job imported."""

import os
import shutil
import subprocess
import sys

import pytest
from helpers import ROOT
from sinkbench.artifacts.fingerprint import code_of, stamp_here, stamp_of
from sinkbench.errors import UserError

JOB = "from sinkbench.artifacts.fingerprint import stamp_here; print(stamp_here({settings}))"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Another checkout's scripts, whose evaluator scores otherwise."""
    scripts = tmp_path_factory.mktemp("clone") / "scripts"
    shutil.copytree(ROOT / "scripts", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    nll = scripts / "sinkbench/model/nll.py"
    nll.write_text(nll.read_text() + "\nWORSE = 1.01\n")
    return scripts


def run(python: str, path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, "-c", python], env=environment, capture_output=True, text=True)


def test_a_job_of_the_planned_code_says_so():
    settings = {"code": code_of("measure.py", "sinkbench/measure/quality.py")}
    assert stamp_here(settings) == stamp_of(settings)
    assert run(JOB.format(settings=settings), ROOT / "scripts").stdout.strip() == str(stamp_of(settings))


@pytest.mark.parametrize("files", [["measure.py", "sinkbench/measure/quality.py"]])
def test_a_job_that_imported_another_library_records_nothing(clone, files):
    settings = {"code": code_of(*files)}
    found = run(JOB.format(settings=settings), clone)
    assert found.returncode == 1
    line = found.stderr.splitlines()[-1]
    assert f"{clone}/sinkbench: not the code that this job was planned with" in line


def test_code_that_the_edit_does_not_reach_counts_as_the_same(clone):
    settings = {"code": code_of("unlock.py")}
    assert run(JOB.format(settings=settings), clone).returncode == 0


@pytest.mark.parametrize("content", ["x = (", None])
def test_a_file_that_is_broken_or_gone_is_no_planned_code(clone, tmp_path, content):
    settings = {"code": code_of("unlock.py")}
    shutil.copytree(clone, tmp_path / "scripts")
    file = tmp_path / "scripts/unlock.py"
    file.unlink() if content is None else file.write_text(content)
    assert "was planned with" in run(JOB.format(settings=settings), tmp_path / "scripts").stderr


def test_settings_of_other_code_are_refused():
    settings = {"code": code_of("measure.py")}
    settings["code"]["sha256"] = "0" * 16
    with pytest.raises(UserError, match="PYTHONPATH"):
        stamp_here(settings)
