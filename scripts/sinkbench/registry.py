"""Ideas that are files: what a folder of the library offers, by the name that a config gives it.

A module whose name begins with an underscore helps the ideas beside it and is none itself.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from sinkbench.errors import check_name

HERE = Path(__file__).parent


def available(folder: str) -> list[str]:
    """Names of the ideas in a folder of the library, such as "policies" or "report/tables", sorted."""
    return sorted(path.stem for path in (HERE / folder).glob("*.py") if not path.stem.startswith("_"))


def load(folder: str, name: str) -> ModuleType:
    """The module of an idea; UserError names those that exist."""
    check_name(name, available(folder), folder)
    return import_module(f"sinkbench.{folder.replace('/', '.')}.{name}")


def source(folder: str, name: str) -> str:
    """The file of an idea below scripts/, for a fingerprint."""
    return f"sinkbench/{folder}/{name}.py"
