"""Text that every Python has: the longest modules of the interpreter's own standard library."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from sinkbench.errors import UserError


def documents(settings: dict) -> Iterator[tuple[str, str]]:
    """(module, source text) of settings["modules"]; a module that a distribution lacks is skipped."""
    folder = Path(sysconfig.get_path("stdlib"))
    paths = [folder / f"{name}.py" for name in settings["modules"]]
    present = [path for path in paths if path.is_file()]
    if not present:
        raise UserError(f"corpora.{settings['name']}.modules: none of them is in {folder}")
    for path in present:
        yield path.stem, path.read_text(encoding="utf-8")
