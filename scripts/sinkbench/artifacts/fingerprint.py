"""A hash of a job's code, which comments, docstrings and layout do not change.

Snakemake does not notice edits to imported modules, and takes a touched script for a changed one. A job
whose `params` carry this fingerprint is stale exactly when code that it imports has changed.

A job takes it again of the library that it imported, which need not be the one that planned it: an entry of
the search path may bring another checkout's, and somebody may have edited this one.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from sinkbench.errors import UserError

PACKAGE = "sinkbench"
ROOT = Path(__file__).resolve().parents[2]  # of the library that was imported, and of its scripts


def code_of(*files: str) -> dict:
    """What a job's settings say of its code: the files that name it (see fingerprint), and their hash."""
    return {"files": sorted(files), "sha256": fingerprint(ROOT, *files)}


def stamp_of(settings: dict) -> dict[str, str]:
    """What a result must say of its job's settings, whose `code` is of `code_of`."""
    return {"stamp": settings_hash(settings), "code": settings["code"]["sha256"]}


def stamp_here(settings: dict) -> dict[str, str]:
    """What a job says in its result: stamp_of, with the hash of the code that the job imported.

    Raises:
        UserError: that is not the code that the settings were made with.
    """
    try:
        found = fingerprint(ROOT, *settings["code"]["files"])
    except (OSError, SyntaxError):
        found = None
    if found != settings["code"]["sha256"]:
        raise UserError(
            f"{ROOT / PACKAGE}: not the code that this job was planned with. It was edited since, or another "
            "checkout comes first on Python's search path (PYTHONPATH); run again"
        )
    return stamp_of(settings)


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
    for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
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
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
