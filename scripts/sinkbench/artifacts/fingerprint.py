"""A hash of a job's code, which comments, docstrings and layout do not change.

Snakemake does not notice edits to imported modules, and takes a touched script for a changed one. A job
whose `params` carry this fingerprint is stale exactly when code that it imports has changed.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

PACKAGE = "sinkbench"


def fingerprint(root: str | Path, *files: str) -> str:
    """Hash of `files` (relative to `root`) and of all modules of the package that they import.

    Args:
        root: the folder that holds the scripts and the package.
        files: a script, and modules that it imports by name at run time.
    """
    root = Path(root)
    digest = hashlib.sha256()
    for path in sorted(_closure(root, tuple(files))):
        digest.update(f"{path}\n{_canonical_source(root / path)}\n".encode())
    return digest.hexdigest()[:16]


def _closure(root: Path, files: tuple[str, ...]) -> set[str]:
    """Files reachable through imports, the given ones included."""
    found, waiting = set(), list(files)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(root, path)
    return found


@cache
def _imports(root: Path, path: str) -> list[str]:
    """Package files that one file imports, with the packages that hold them."""
    names = []
    for node in ast.walk(ast.parse((root / path).read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    own = (name.split(".") for name in names if name.split(".")[0] == PACKAGE)
    prefixes = {tuple(parts[:end]) for parts in own for end in range(1, len(parts) + 1)}
    candidates = ("/".join(parts) + end for parts in prefixes for end in (".py", "/__init__.py"))
    return [candidate for candidate in candidates if (root / candidate).is_file()]


@cache
def _canonical_source(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        _drop_docstring(node)
    return _canonical(tree)


def _drop_docstring(node: ast.AST) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
        del node.body[0]


def _canonical(node) -> str:
    """The tree as text, without empty fields and pieces of f-strings, which Python versions add or not."""
    if isinstance(node, ast.JoinedStr):
        node.values = [piece for piece in node.values if getattr(piece, "value", None) != ""]
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        inner = ",".join(f"{name}={_canonical(value)}" for name, value in fields if name != "kind")
        return f"{type(node).__name__}({inner})"
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    return repr(node)


def settings_hash(settings: dict) -> str:
    """A short hash of a job's settings, its code's fingerprint among them."""
    canonical = json.dumps(settings, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
