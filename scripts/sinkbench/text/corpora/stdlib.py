"""Text that every Python has: the longest modules of the interpreter's own standard library."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from sinkbench.errors import UserError
from sinkbench.text.corpora import read_text


def find(settings: dict) -> list[Path]:
    """Find the sources of settings["modules"] that this Python has; a distribution may lack one."""
    folder = Path(sysconfig.get_path("stdlib"))
    paths = [folder / f"{name}.py" for name in settings["modules"]]
    present = [path for path in paths if path.is_file()]
    if not present:
        modules = ", ".join(settings["modules"])
        raise UserError(f"corpora.{settings['name']}.modules: none of {modules} is in {folder}")
    return present


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(module, source text) of every module, in the order of the config."""
    return ((path.stem, read_text(path)) for path in find(settings))
