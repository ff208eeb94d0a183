"""What is public says what it is; a folder's protocol speaks for its files. Tests that docs/ names exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PROTOCOLS = {
    "Engine": SCRIPTS / "sinkbench/engines/__init__.py",
    "Policy": SCRIPTS / "sinkbench/policies/__init__.py",
}


def undocumented(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            if not ast.get_docstring(node) and not in_protocol(tree, node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node, f"{node.name}.")


def in_protocol(owner: ast.Module | ast.ClassDef, node: ast.AST) -> bool:
    """Whether the folder's docstring says what this method of an engine or policy is."""
    of = next((word for word in PROTOCOLS if getattr(owner, "name", "").endswith(word)), None)
    return of is not None and node.name in protocol(of)


def protocol(word: str) -> set[str]:
    """First words of the indented lines of the folder's docstring."""
    lines = ast.get_docstring(ast.parse(PROTOCOLS[word].read_text())).splitlines()
    return {line.split()[0].split("(")[0] for line in lines if line.startswith("    ")}


@pytest.mark.parametrize(
    "path", sorted(SCRIPTS.rglob("*.py")), ids=lambda path: str(path.relative_to(SCRIPTS))
)
def test_what_is_public_is_documented(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert list(undocumented(tree)) == []


def test_a_missing_docstring_is_found():
    code = (
        "class Engine:\n    '''An engine.'''\n    def step(self): ...\n    def other(self): ...\ndef f(): ..."
    )
    assert list(undocumented(ast.parse(code))) == ["Engine.other", "f"]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/mathematics.md", "docs/statistics.md"])
def test_documents_name_tests_that_exist(page):
    root = SCRIPTS.parent
    named = set(re.findall(r"\btest_\w+(?:\.py)?", (root / page).read_text()))
    code = "".join(path.read_text() for path in (root / "tests").glob("test_*.py"))
    exist = {path.name for path in (root / "tests").glob("test_*.py")} | set(
        re.findall(r"def (test_\w+)", code)
    )
    assert named and named <= exist
