"""`pip install .`: what it declares is what sinkbench.StreamingCache imports, and no more than that."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Packages of the study that a user of the cache alone does not have.
NOT_DECLARED = ("pandas", "pyarrow", "snakemake", "datasets", "matplotlib", "jsonschema", "gguf", "torchao")
IMPORTED = """
import sys
for absent in {absent}:
    sys.modules[absent] = None
import sinkbench
assert "torch" not in sys.modules and "transformers" not in sys.modules
print(*sinkbench.StreamingCache.__mro__, sep="\\n")
own = {{name for name in sys.modules if name.startswith("sinkbench.")}}
files = [sys.modules[name].__file__ for name in own]
print("FILES", *files, sep="\\n")
"""


def python(code: str) -> subprocess.CompletedProcess:
    """Run code with the library on the path, as an installed package is."""
    environment = {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """Lines of a process that imports the cache without what is not declared."""
    run = python(IMPORTED.format(absent=NOT_DECLARED))
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_the_cache_needs_no_package_of_the_study(imported):
    assert any("StreamingCache" in line for line in imported)


def test_what_its_modules_import_is_declared(imported):
    """Every import of the modules that it loads is of Python, of the library or of a declared dependency."""
    declared = {re.match(r"[\w-]+", requirement)[0] for requirement in PROJECT["dependencies"]}
    allowed = declared | {"sinkbench"} | sys.stdlib_module_names
    files = imported[imported.index("FILES") + 1 :]
    assert len(files) > 15
    names = set()
    for file in files:
        with open(file) as source:
            names |= set(re.findall(r"^\s*(?:import|from) (\w+)[\w.]*(?: import |$)", source.read(), re.M))
    assert names <= allowed
    assert declared <= names  # and nothing more is declared


def test_an_attribute_that_is_not_offered():
    run = python("import sinkbench; sinkbench.Cache")
    assert "AttributeError: module 'sinkbench' has no attribute 'Cache'" in run.stderr


def test_the_version_is_that_of_the_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == citation["version"]
    assert (PROJECT["license"], PROJECT["requires-python"]) == (citation["license"], ">=3.11")


def test_least_versions_are_those_that_the_readme_names():
    names = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    readme = (ROOT / "README.md").read_text()
    assert f"torch {names['torch']} or newer, transformers {names['transformers']} or newer" in readme


def test_every_folder_of_the_library_is_a_package():
    """Packages are found by their __init__.py; a folder without one would be left out of the wheel."""
    library = ROOT / "scripts/sinkbench"
    folders = {path.parent for path in library.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
    assert [
        path for path in library.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    ] == []
