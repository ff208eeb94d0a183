"""Where the files of a hub repository lie on this machine, and how they come there.

Downloads happen in `fetch` alone. Everything else reads the folder and its record, offline.
"""

import hashlib
import os
from pathlib import Path

from sinkbench.errors import UserError
from sinkbench.records import read_json, write_json

ROOT = Path("resources/hub")
MODEL_FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*.json"]


def hub_folder(repo: str, revision: str) -> Path:
    """The folder of one pinned revision."""
    return ROOT / f"{repo.replace('/', '--')}@{revision[:12]}"


def local_folder(settings: dict) -> Path:
    """The folder that holds a model, tokenizer or dataset: the one given, or the one `fetch` fills."""
    if settings["source"] == "folder":
        return Path(settings["path"])
    return hub_folder(settings["repo"], settings["revision"])


def record_path(settings: dict) -> Path:
    """The record that says a hub folder is complete."""
    folder = local_folder(settings)
    return folder.with_name(f"{folder.name}.json")


def fetch(repo: str, revision: str, kind: str, patterns: list[str]) -> None:
    """Download the files matching `patterns` and record their sha256; resumes what was cut off.

    Args:
        kind: "model" or "dataset".

    Raises:
        UserError: no network, no such repository, or no file that matches.
    """
    from huggingface_hub import snapshot_download

    folder = hub_folder(repo, revision)
    try:
        snapshot_download(repo, revision=revision, repo_type=kind, allow_patterns=patterns, local_dir=folder)
    except Exception as error:  # the client raises network, HTTP and cache errors of many libraries
        raise UserError(f"{repo}@{revision[:12]}: {_first_line(error)}; {advice()}") from error
    files = _hashes(folder)
    if not files:
        raise UserError(f"{repo}@{revision[:12]}: no file matches {', '.join(patterns)}")
    record = {"repo": repo, "revision": revision, "kind": kind, "sha256": files}
    write_json(folder.with_name(f"{folder.name}.json"), record)


def advice() -> str:
    """What to do where a hub cannot be reached."""
    endpoint = os.environ.get("HF_ENDPOINT", "the default hub")
    return (
        f"could not fetch from {endpoint}: set HF_ENDPOINT to a reachable mirror, run `snakemake --cores 1 fetch` "
        "on a machine with a network and copy resources/hub, or point the config at a local folder "
        "(source: folder); `make demo` needs no network"
    )


def check_record(settings: dict) -> None:
    """Raise UserError if a fetched folder no longer holds the files its record names."""
    record = read_json(record_path(settings))
    folder = local_folder(settings)
    for name in record["sha256"]:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: recorded by fetch but missing; {advice()}")


def _hashes(folder: Path) -> dict[str, str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".cache" not in path.parts)
    return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


def file_sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
