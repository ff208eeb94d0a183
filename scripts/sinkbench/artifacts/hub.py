"""Folders and records of hub repositories and of converted files on this machine, read without a network.

`hub_download` and `model.gguf` fill the folders; everything else works without them once they are there.
"""

import hashlib
import os
import re
from pathlib import Path

from sinkbench.artifacts.files import read_json
from sinkbench.errors import UserError

ROOT = Path("resources/hub")
MODEL_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json"]
TOKENIZER_FILES = ["tokenizer.json"]
CONVERTED = ("package", "gguf")  # sources that are one gguf file
CONVERSION = 2  # goes up when model.gguf makes other weights or ids of the same file; 1 split no digits
UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")  # in the name of a folder
OPTIONAL_FILES = ["*.safetensors.index.json"]  # only a checkpoint in several files has one


def hub_folder(repo: str, revision: str) -> Path:
    """The folder of one pinned revision."""
    return ROOT / f"{repo.replace('/', '--')}@{revision[:12]}"


def local_folder(settings: dict) -> Path:
    """Folder of a model, tokenizer or dataset: the given one (`~` is a home), or that which `fetch` fills."""
    match settings.get("source", "hub"):
        case "folder":
            return Path(os.path.expanduser(settings["path"]))
        case source if source in CONVERTED:
            return ROOT / converted_name(settings)
    return hub_folder(settings["repo"], settings["revision"])


def converted_name(settings: dict) -> str:
    """Name of the folder that a gguf file becomes; one file has one name, whoever brings it."""
    stem = Path(settings["file" if settings["source"] == "package" else "path"]).stem
    return f"{UNSAFE.sub('-', stem)}@{settings['sha256'][:12]}"


def record_path(settings: dict) -> Path:
    """Path of the record that is written last, when the folder beside the record is complete."""
    folder = local_folder(settings)
    return folder.with_name(f"{folder.name}.json")


def is_fetched(repository: dict) -> bool:
    """Whether `fetch` has brought what a study wants of a repository (StudyInputs.repositories)."""
    path = record_path(repository)
    return path.is_file() and repository.items() <= read_json(path).items()


def check_fetched(settings: dict) -> None:
    """Raise UserError unless a fetched folder holds the files of its record, whole."""
    path = record_path(settings)
    record = read_json(path)
    if settings.get("source") in CONVERTED and record.get("conversion") != CONVERSION:
        raise UserError(f"{path}: converted by rules that were changed since; delete it and fetch again")
    for name, recorded in record["files"].items():
        file = local_folder(settings) / name
        if not file.is_file() or file.stat().st_size != recorded["bytes"]:
            raise UserError(f"{file}: missing or cut, {path.name} has it; delete {path} and fetch again")


def converted_facts(settings: dict) -> str | None:
    """In one line what a gguf file says of itself, and what converted it; None for another source."""
    if settings["source"] not in CONVERTED:
        return None
    record = read_json(record_path(settings))
    types = ", ".join(f"{count} of {name}" for name, count in record["tensor_types"].items())
    made = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return f"{record['name'] or 'no name'}, {record['architecture']}; tensors: {types}; dequantised by {made}"


def file_sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
