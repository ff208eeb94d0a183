"""Read a merged config into a study. A mistake is one line: file, key, value and what is allowed."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from sinkbench.errors import UserError, shown
from sinkbench.report import catalogue
from sinkbench.study.renamed import find_renamed
from sinkbench.study.strict_yaml import read_yaml
from sinkbench.study.study import Study

TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}
OPTION = "--config"
TEXT_ONLY = "; --config gives text: put numbers into a file, and name it behind --configfile"
VALUE_CHARACTERS = 60  # of an offending value that a line shows
# 32.0 is no whole number here, since it could not count steps.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def read_study(config: dict, schema_path: str | Path, files: list[str]) -> Study:
    """Read the study of a config; UserError for the most telling mistake.

    Args:
        config: as merged from `files`, later ones over earlier ones, and --config.
    """
    contents = {_named(file): read_yaml(_named(file)) for file in files}
    validate(config, schema_path, contents)
    config = canonical(config)
    try:
        catalogue.check(config)
        return Study(config)
    except UserError as error:  # its message begins with the key
        raise UserError(f"{_origin(_path(str(error).split(':')[0]), config, contents)}: {error}") from None


def _named(file: str) -> str:
    """A config file as people here call it: below the working folder, or by its whole path."""
    relative = os.path.relpath(file)
    return file if relative.startswith(os.pardir) else relative


def canonical(value):
    """A config's value in its one form: keys sorted, and 1.0 as 1. So neither makes a result stale."""
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def validate(config: dict, schema_path: str | Path, contents: dict[str, dict]) -> None:
    """Raise UserError unless `config` is what the schema says, in its present words.

    Args:
        contents: of the config files, by name.
    """
    for path, value in _leaves(config):
        if found := _unreadable_at(path, value):
            raise UserError(f"{_origin(path, config, contents)}: {found}")
    if renamed := find_renamed(config):
        path, message = renamed
        raise UserError(f"{_origin(path, config, contents)}: {_key(path)}: {message}")
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    errors = list(_Validator(schema).iter_errors(config))
    if errors:
        error = _most_telling(errors)
        origin = _origin(_blamed(error), config, contents)
        hint = TEXT_ONLY if origin == OPTION and isinstance(error.instance, str) else ""
        raise UserError(f"{origin}: {_describe(error)}{hint}")


def _leaves(value, path: tuple = ()) -> Iterator[tuple[list, object]]:
    """(path, value) of everything that holds nothing further."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*path, key))
    else:
        yield list(path), value


def _unreadable_at(path: list, value) -> str | None:
    """What is wrong with a key of the path, or with its value."""
    for depth, key in enumerate(path):
        if problem := _unreadable(key):
            return f"{_key(path[:depth]) or 'top level'}: key {shown(key)} {problem}"
    problem = _unreadable(value)
    return problem and f"{_key(path)}: {shown(value)} {problem}"


def _unreadable(value) -> str | None:
    """What is wrong with a number or a text wherever it stands."""
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number"
    if isinstance(value, str) and (value != value.strip() or not value.isprintable()):
        return "begins or ends in a space, or holds a line break or another control character"
    return None


def _most_telling(errors: Iterable[ValidationError]) -> ValidationError:
    """An unknown key first, since it is often a misspelt one that is missing as well."""
    ranks = {"additionalProperties": 0, "required": 2, "oneOf": 3}
    return min(map(_meant, errors), key=lambda error: ranks.get(error.validator, 1))


def _meant(error: ValidationError) -> ValidationError:
    """Of a failed oneOf, the mistake in the branch whose constants and type fit, if there is one."""
    branches = defaultdict(list)
    for inner in error.context:
        branches[inner.relative_schema_path[0]].append(inner)
    for excluding in (("type", "enum"), ("type",)):
        for inners in branches.values():
            if not any(_is_of_another(inner, excluding) for inner in inners):
                return _most_telling(inners)
    return error


def _is_of_another(inner: ValidationError, excluding: tuple[str, ...]) -> bool:
    """Whether a mistake says that another branch is meant."""
    return inner.validator == "const" or (inner.validator in excluding and not inner.relative_path)


def _describe(error: ValidationError) -> str:
    """key: value problem (description)"""
    key, found = _key(error.absolute_path) or "top level", _problem(error)
    if error.validator in ("additionalProperties", "required"):
        return f"{key}: {found}"
    about = error.schema.get("description")
    return f"{key}: {_shown(error.instance)} {found}" + (f" ({about.rstrip('.')})" if about else "")


def _problem(error: ValidationError) -> str:
    """What is wrong, and what is allowed."""
    wanted = error.validator_value
    match error.validator:
        case "additionalProperties":
            allowed = ", ".join(error.schema["properties"])
            return f"unknown key {', '.join(_unknown(error))}; allowed: {allowed}"
        case "required":
            missing = ", ".join(key for key in wanted if key not in error.instance)
            return f"missing {missing}{_condition(error)}"
        case "type":
            return f"is not {_types([wanted] if isinstance(wanted, str) else wanted)}"
        case "enum":
            return f"is not one of {', '.join(map(str, wanted))}"
        case "oneOf":
            return f"is not {_types([branch['type'] for branch in wanted])}"
        case "minItems":
            return "is empty"
        case "uniqueItems":
            return "lists a value twice"
        case "minimum" | "maximum":
            return f"is {'less' if error.validator == 'minimum' else 'more'} than {wanted}"
        case "exclusiveMinimum" | "exclusiveMaximum":
            return f"is not {'more' if error.validator == 'exclusiveMinimum' else 'less'} than {wanted}"
        case _:
            return f"does not match {wanted}"


def _types(names: list[str]) -> str:
    return " or ".join(TYPES[name] for name in names)


def _unknown(error: ValidationError) -> list[str]:
    return sorted(map(str, set(error.instance) - set(error.schema["properties"])))


def _condition(error: ValidationError) -> str:
    """Why a key is required, if only some values of another key require it."""
    properties = error.schema.get("properties", {}).items()
    constants = [f"{key}: {about['const']}" for key, about in properties if "const" in about]
    return f" (needed with {', '.join(constants)})" if constants else ""


def _shown(value) -> str:
    text = shown(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}..."


def _key(path: Iterable) -> str:
    """runs[3].options.budget"""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _path(key: str) -> list:
    """["runs", 3, "options", "budget"]"""
    return [int(part) if part.isdigit() else part for part in re.findall(r"[\w-]+", key)]


def _blamed(error: ValidationError) -> list:
    """The path of the key that is wrong."""
    return [*error.absolute_path, *(_unknown(error)[:1] if error.validator == "additionalProperties" else [])]


def _origin(keys: list, config: dict, contents: dict[str, dict]) -> str:
    """What set the key, or the nearest key around it: the last such file, or --config; else all files."""
    merged: dict = {}
    for content in contents.values():
        _merge(merged, content)
    for depth in range(len(keys), 0, -1):
        path = keys[:depth]
        if _found(config, path) != _found(merged, path):
            return OPTION
        if _found(merged, path):
            return [file for file, content in contents.items() if _found(content, path)][-1]
    return " + ".join(contents)


def _merge(target: dict, content: dict) -> None:
    """What Snakemake does with a further config file."""
    for key, value in content.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = deepcopy(value)


def _found(content, keys: list) -> list:
    """[the value that lies there], or [] if nothing does."""
    for key in keys:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return []
    return [content]
