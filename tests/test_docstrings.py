"""What is public says what it is; a folder's protocol speaks for its files. Tests that docs/ names exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SCRIPTS = TESTS.parent / "scripts"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PROTOCOLS = {
    "Engine": SCRIPTS / "sinkbench/engines/__init__.py",
    "Policy": SCRIPTS / "sinkbench/policies/__init__.py",
}


BASE = ast.parse((SCRIPTS / "sinkbench/model/families/_family.py").read_text())
(FAMILY_CLASS,) = (node for node in BASE.body if getattr(node, "name", None) == "Family")
FAMILY = {
    node.name for node in FAMILY_CLASS.body if isinstance(node, DEFINITIONS) and ast.get_docstring(node)
}


def undocumented(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            if not ast.get_docstring(node) and not in_protocol(tree, node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node, f"{node.name}.")


def in_protocol(owner: ast.Module | ast.ClassDef, node: ast.AST) -> bool:
    """Whether the folder's docstring, or the base class of families, says what this method is."""
    if any(getattr(base, "id", None) == "Family" for base in getattr(owner, "bases", [])):
        return node.name in FAMILY
    of = next((word for word in PROTOCOLS if getattr(owner, "name", "").endswith(word)), None)
    return of is not None and node.name in protocol(of)


def protocol(word: str) -> set[str]:
    """First words of the indented lines of the folder's docstring."""
    lines = ast.get_docstring(ast.parse(PROTOCOLS[word].read_text())).splitlines()
    return {line.split()[0].split("(")[0] for line in lines if line.startswith("    ")}


def test_what_is_public_is_documented():
    missing = []
    for path in sorted(SCRIPTS.rglob("*.py")):
        tree, name = ast.parse(path.read_text()), str(path.relative_to(SCRIPTS))
        missing += [] if ast.get_docstring(tree) else [name]
        missing += [f"{name}: {definition}" for definition in undocumented(tree)]
    assert missing == []


def test_a_missing_docstring_is_found():
    code = (
        "class Engine:\n    '''An engine.'''\n    def step(self): ...\n    def other(self): ...\ndef f(): ..."
    )
    assert list(undocumented(ast.parse(code))) == ["Engine.other", "f"]


def test_documents_name_tests_that_exist():
    files = list(TESTS.rglob("*.py"))
    exist = {path.name for path in files} | {str(path.relative_to(TESTS)) for path in files}
    exist |= {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    for page in [TESTS.parent / "CONTRIBUTING.md", *TESTS.parent.glob("docs/*.md")]:
        text = page.read_text()
        named = set(re.findall(r"(?:tests/|(?<![\w/]))((?:\w+/)?test_\w+(?:\.py)?)\b", text))
        assert named <= exist, page.name
