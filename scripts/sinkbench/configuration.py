"""Validation of a config against its schema, with one readable line per mistake."""

from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from sinkbench.errors import UserError


def validate(config: dict, schema_path: str | Path, files: list[str]) -> None:
    """Raise UserError for the most telling mistake in `config`, naming file, key, value and what is allowed.

    Args:
        config: as merged from `files`, later ones over earlier ones.
    """
    schema = yaml.safe_load(Path(schema_path).read_text())
    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise UserError(f"{_origin(error, files)}: {_describe(error)}")


def _describe(error: ValidationError) -> str:
    key = _key(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = ", ".join(sorted(set(error.instance) - set(known)))
        return f"{key or 'top level'}: unknown key {unknown}; allowed: {', '.join(known)}"
    if error.validator == "required":
        missing = ", ".join(name for name in error.validator_value if name not in error.instance)
        return f"{key or 'top level'}: missing {missing}"
    about = error.schema.get("description")
    return f"{key}: {error.message}" + (f" ({about})" if about else "")


def _key(path) -> str:
    """runs[3].with.budget"""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _origin(error: ValidationError, files: list[str]) -> str:
    """The last config file that sets the key, or all of them if none does."""
    keys = list(error.absolute_path)
    if error.validator == "additionalProperties":
        keys += sorted(set(error.instance) - set(error.schema["properties"]))[:1]
    setters = [file for file in files if _sets(yaml.safe_load(Path(file).read_text()) or {}, keys)]
    return setters[-1] if setters else " + ".join(files)


def _sets(content, keys: list) -> bool:
    for key in keys:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
