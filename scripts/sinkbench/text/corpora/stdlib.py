"""Text that every Python has: the longest modules of the interpreter's own standard library."""

import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sinkbench.errors import UserError, shown
from sinkbench.text.corpora import read_text


def find(settings: dict) -> list[Path]:
    """Find the sources of settings["modules"] that this Python has; a distribution may lack one.

    Raises:
        UserError: a name is no module of the standard library, or is none that is one file of Python.
    """
    folder, where = Path(sysconfig.get_path("stdlib")), f"corpora.{settings['name']}.modules"
    paths = {name: folder / f"{name}.py" for name in settings["modules"]}
    for name, path in paths.items():
        if name not in sys.stdlib_module_names:
            raise UserError(f"{where}: {shown(name)} is no module of Python's standard library")
        if not path.is_file() and find_spec(name):
            raise UserError(f"{where}: {shown(name)} is a package or compiled, not one file of Python")
    present = [path for path in paths.values() if path.is_file()]
    if not present:
        raise UserError(f"{where}: none of {', '.join(paths)} is in {folder}")
    return present


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(module, source text) of every module that is there, in the order of the config."""
    present = find(settings)
    if absent := set(settings["modules"]) - {path.stem for path in present}:
        print(f"corpora.{settings['name']}.modules: this Python has no {', '.join(sorted(absent))}")
    return ((path.stem, read_text(path)) for path in present)
