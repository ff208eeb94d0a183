"""Folders and records of hub repositories on this machine, read without a network.

`download` fills the folders; everything else works without it once they are there.
"""

import hashlib
import os
from pathlib import Path

from sinkbench.artifacts.files import read_json
from sinkbench.errors import UserError

ROOT = Path("resources/hub")
MODEL_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json"]
TOKENIZER_FILES = ["tokenizer.json"]
OPTIONAL_FILES = ["*.safetensors.index.json"]  # only a checkpoint in several files has one


def hub_folder(repo: str, revision: str) -> Path:
    """The folder of one pinned revision."""
    return ROOT / f"{repo.replace('/', '--')}@{revision[:12]}"


def local_folder(settings: dict) -> Path:
    """Folder of a model, tokenizer or dataset: the given one (`~` is a home), or that which `fetch` fills."""
    if settings["source"] == "folder":
        return Path(os.path.expanduser(settings["path"]))
    return hub_folder(settings["repo"], settings["revision"])


def record_path(settings: dict) -> Path:
    """Path of the record that `fetch` writes last, when the folder beside the record is complete."""
    folder = hub_folder(settings["repo"], settings["revision"])
    return folder.with_name(f"{folder.name}.json")


def is_fetched(repository: dict) -> bool:
    """Whether `fetch` has brought what a study wants of a repository (StudyInputs.repositories)."""
    path = record_path(repository)
    return path.is_file() and repository.items() <= read_json(path).items()


def check_fetched(settings: dict) -> None:
    """Raise UserError unless a fetched folder holds the files of its record, whole."""
    path = record_path(settings)
    for name, recorded in read_json(path)["files"].items():
        file = hub_folder(settings["repo"], settings["revision"]) / name
        if not file.is_file() or file.stat().st_size != recorded["bytes"]:
            raise UserError(f"{file}: missing or cut, {path.name} has it; delete {path} and fetch again")


def file_sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
