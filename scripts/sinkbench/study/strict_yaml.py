"""Read a config file strictly: what YAML would quietly take for something else is refused, with its line.

YAML 1.1 reads 010 as 8, 1:30 as 90, `on` as true, `.nan` as a number, and keeps the last of two equal keys.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sinkbench.errors import UserError, shown

TAG = "tag:yaml.org,2002:"
MERGE = f"{TAG}merge"
# Plain words of each type that mean the same to everybody.
WORDS = {
    f"{TAG}int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    f"{TAG}float": re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"),
    f"{TAG}bool": re.compile("true|false|True|False"),
    f"{TAG}null": re.compile("|null|~"),
}
KINDS = {
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "timestamp": "a date",
}
MEANINGS = {"int": "whole numbers are written in decimal digits", "bool": "write true or false"}
MEANINGS |= {"float": "numbers are finite and decimal", "null": "write null"}
TEMPLATE = "__use_yte__"  # with this key Snakemake takes the file for a program that makes a config


def read_yaml(path: str | Path) -> dict:
    """Content of a config file in UTF-8, YAML or JSON.

    Raises:
        UserError: it cannot be read, or has a repeated key, an ambiguous word, a control character or a tag.
    """
    try:
        loader = yaml.SafeLoader(Path(path).read_bytes().decode("utf-8"))
        root = loader.get_single_node()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {said}") from None
    if not isinstance(root, MappingNode):
        raise UserError(f"{path}: not a mapping of keys to values")
    for node, key in _nodes(root, str(path), "", ()):
        _check(node, key, str(path))
    return loader.construct_document(root)


def _nodes(node: Node, path: str, key: str, around: tuple[Node, ...]) -> Iterator[tuple[Node, str]]:
    """Each node with its key, such as runs[3].options.budget; no mapping holds a key twice."""
    if node in around:
        raise UserError(f"{_at(path, node)}: {key}: an alias of what holds it")
    yield node, key
    if isinstance(node, SequenceNode):
        for index, inner in enumerate(node.value):
            yield from _nodes(inner, path, f"{key}[{index}]", (*around, node))
    elif isinstance(node, MappingNode):
        seen = set()
        for name, inner in node.value:
            own = _name(name, path, key)
            if own in seen:
                raise UserError(f"{_at(path, name)}: {own} is given twice")
            seen.add(own)
            yield from _nodes(inner, path, own, (*around, node))


def _name(name: Node, path: str, around: str) -> str:
    """The key of an entry."""
    if not isinstance(name, ScalarNode) or name.tag not in (f"{TAG}str", MERGE):
        found = shown(name.value) if isinstance(name, ScalarNode) else "a list or mapping"
        raise UserError(f"{_at(path, name)}: {around or 'top level'}: the key {found} is not text; quote it")
    if name.value == TEMPLATE:
        raise UserError(f"{_at(path, name)}: {TEMPLATE}: templates are not read here")
    return f"{around}.{name.value}" if around else name.value


def _check(node: Node, key: str, path: str) -> None:
    """Raise UserError for a value that does not mean what it says."""
    if not isinstance(node, ScalarNode):
        if node.tag not in (f"{TAG}map", f"{TAG}seq"):
            raise UserError(
                f"{_at(path, node)}: {key}: the tag {node.tag.removeprefix(TAG)} is not read here"
            )
        return
    kind, value = node.tag.removeprefix(TAG), node.value
    where = f"{_at(path, node)}: {key}: {shown(value)}"
    if kind != "str" and node.tag not in WORDS:
        raise UserError(f"{where} is {KINDS.get(kind, kind)} in YAML; put text in quotes")
    if kind != "str" and not WORDS[node.tag].fullmatch(value):
        raise UserError(f"{where} is {KINDS[kind]} in YAML: {MEANINGS[kind]}, and put text in quotes")
    if kind == "float" and not math.isfinite(float(value)):
        raise UserError(f"{where} is not a finite number")
    if not value.isprintable():
        raise UserError(f"{where} holds a line break or another control character")


def _at(path: str, node: Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"
