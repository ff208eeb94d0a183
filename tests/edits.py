"""Edits of a checkout with a finished study, as users and their tools make them."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
from safetensors.torch import load_file, save_file
from workflow_runner import Checkout

LIBRARY = "scripts/sinkbench"
SCRIPTS = ("scripts/*.py", f"{LIBRARY}/**/*.py")
Edit = Callable[[Checkout], None]


def nothing(checkout: Checkout) -> None:
    """No edit."""


def moved(checkout: Checkout) -> None:
    """The checkout lies in another folder."""
    target = checkout.folder.with_name("moved")
    checkout.folder.rename(target)
    checkout.folder, checkout.toy = target, target / "toy.yaml"


def config(*keys, to) -> Edit:
    """An edit of the study: `to` is a value, or a function of the value that was there."""

    def edit(checkout: Checkout) -> None:
        whole = inner = checkout.config()
        for key in keys[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[key]
        inner[keys[-1]] = to(inner.get(keys[-1])) if callable(to) else to
        checkout.write_config(whole)

    return edit


def code(path: str) -> Edit:
    """An edit of a script or module."""
    return every(lambda file: file.write_text(f"{file.read_text()}\nEDITED = True\n"), path)


def every(edit_file: Callable[[Path], object], *patterns: str) -> Edit:
    """An edit of all files that match."""

    def edit(checkout: Checkout) -> None:
        checkout.code = checkout.folder / "scripts"
        for pattern in patterns:
            paths = [path for path in checkout.folder.glob(pattern) if path.is_file()]
            assert paths, f"{pattern}: no such file"
            for path in paths:
                edit_file(path)

    return edit


def comment(path: Path) -> None:
    """A comment at the end of a module."""
    path.write_text(f"{path.read_text()}\n# a comment\n")


def other_weights(folder: str) -> Edit:
    """Another checkpoint with the date of the one that it replaces, as a copy that keeps dates has."""

    def edit(checkout: Checkout) -> None:
        path = checkout.folder / f"resources/{folder}/model.safetensors"
        facts, tensors = path.stat(), {name: tensor.clone() for name, tensor in load_file(path).items()}
        next(iter(tensors.values())).mul_(1.5)
        path.unlink()  # copies of a checkout share it
        save_file(tensors, path, metadata={"format": "pt"})
        _date(path, facts)

    return edit


def other_tokenizer(checkout: Checkout) -> None:
    """Another tokenizer of an unchanged date."""
    path = checkout.folder / "resources/demo-model/tokenizer.json"
    facts = path.stat()
    path.write_text(path.read_text() + "\n")
    _date(path, facts)


def by_hand(path: str) -> Edit:
    """An edited result whose date stays."""

    def edit(checkout: Checkout) -> None:
        file = checkout.folder / path
        facts = file.stat()
        file.write_bytes(file.read_bytes().replace(b"streaming", b"STREAMING") + b" ")
        _date(file, facts)

    return edit


def in_numbers(path: str, name: str) -> Edit:
    """A result, one column of which was edited with a tool that keeps everything else."""

    def edit(checkout: Checkout) -> None:
        table = pyarrow.parquet.read_table(checkout.folder / path)
        place = table.schema.get_field_index(name)
        column = pyarrow.array(table.column(place).to_pandas() + 1, from_pandas=True)
        table = table.set_column(place, table.schema.field(place), column.cast(table.schema.types[place]))
        pyarrow.parquet.write_table(table, checkout.folder / path)

    return edit


def _date(path: Path, facts: os.stat_result) -> None:
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
