"""Messages speak the user's language: no value as Python prints it, no class of an exception, no module."""

import ast
import re

import pytest
from helpers import ROOT

LINES = ("UserError", "Unavailable", "WorkflowError", "exit")
SOURCES = [*(ROOT / "scripts").rglob("*.py")]
SMK = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]


def raised(tree: ast.AST):
    """Calls that make a message to the user."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in LINES:
                yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_message_shows_python(path):
    for call in raised(ast.parse(path.read_text(encoding="utf-8"))):
        for node in ast.walk(call):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.FormattedValue) and node.conversion == ord("r")), f"{where}: !r"
            assert ast.unparse(node) != "type(error).__name__", f"{where}: the class of an exception"
            assert not (isinstance(node, ast.Name) and node.id == "repr"), f"{where}: repr"


def test_rules_show_no_python():
    for path in SMK:
        assert not re.search(r"\{[^{}]*!r\}|__name__", path.read_text(encoding="utf-8")), path


def test_what_users_meet_in_a_message_is_what_they_wrote(forbidden):
    """The pattern by which conftest judges every message that any test provokes."""
    for said in (
        "None is",
        "['a'] is",
        "{'a': 1}",
        "PosixPath('x')",
        "KeyError: 'a'",
        "<class 'int'>",
        "a\nb",
    ):
        assert forbidden.search(said), said
    for said in ("c.yaml:1: a: null is not a list", "['a' is", "no None-sense", 'a: ["b", 1] is'):
        assert not forbidden.search(said), said
