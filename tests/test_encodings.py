"""Text files are UTF-8 whatever the locale: every call that opens one says so."""

import ast

import pytest
from helpers import ROOT

FOLDERS = ("scripts", "benchmarks", "docs", "envs")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def opens_text(call: ast.Call) -> bool:
    """Whether a call opens a text file: open, or a method of a path."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute)
    modes = [node.value for node in ast.walk(ast.Tuple(call.args[1:2])) if isinstance(node, ast.Constant)]
    binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
    return name == "open" and isinstance(call.func, ast.Name) and not binary


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_text_file_is_opened_as_utf_8(path):
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and opens_text(call):
            named = any(keyword.arg == "encoding" for keyword in call.keywords)
            assert named, f"{path.name}:{call.lineno} opens a text file by the locale"
