"""Digests of what results are made from: weights, tokenizers, texts, tokens.

A file is hashed once and again only when its inode says that it changed; the change time is the kernel's, so
that a copy with an old date does not pass for the file that it replaces.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pyarrow
import pyarrow.parquet

from sinkbench import registry
from sinkbench.artifacts.files import read_json
from sinkbench.artifacts.fingerprint import code_of
from sinkbench.artifacts.hub import MODEL_FILES, file_sha256, local_folder, record_path
from sinkbench.artifacts.model_folder import DEFAULT_FAMILY, opened_files, read_config
from sinkbench.artifacts.tokenizer_file import tokenizer_path
from sinkbench.errors import UserError

MEMO = Path("results/.sha256")  # one line of JSON for each file hashed; whoever loses it hashes again


def file_digest(path: str | Path) -> str:
    """The sha256 of a file, remembered."""
    facts = Path(path).stat()
    key = [str(path), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
    known = _remembered()
    if tuple(key) not in known:
        known[tuple(key)] = file_sha256(Path(path))
        with suppress(OSError):
            MEMO.parent.mkdir(exist_ok=True)
            with open(MEMO, "a", encoding="utf-8") as memo:
                memo.write(json.dumps([*key, known[tuple(key)]]) + "\n")
    return known[tuple(key)]


def digest(paths: Iterable[str | Path]) -> str | None:
    """One digest of files, by name, content and order; None for no file or a missing one."""
    paths = list(map(Path, paths))
    if not paths or not all(path.is_file() for path in paths):
        return None
    return _joined([path.name, file_digest(path)] for path in paths)


def weight_files(settings: dict) -> list[Path]:
    """The files that a model in a local folder is read from, or the record of the fetched ones."""
    if settings["source"] == "folder":
        with suppress(UserError):  # the preflight says it; a plan may be made where there is no model
            return opened_files(local_folder(settings))
        return []
    return [] if settings["source"] == "random" else [record_path(settings)]


def model_digest(settings: dict) -> str | None:
    """Digest of a model's config and weights, from files or from a record of them; None without them."""
    if settings["source"] in ("folder", "random"):
        return digest(weight_files(settings))
    return _recorded_digest(settings)


def family_code(settings: dict) -> str | None:
    """Hash of the code of a model's family; None before the model is here, or if it has none."""
    with suppress(UserError):
        if settings["source"] == "random":
            name = settings["shape"].get("model_type", DEFAULT_FAMILY)
        else:
            name = read_config(local_folder(settings)).get("model_type")
        if name in registry.available("model/families"):
            return code_of(registry.source("model/families", name))["sha256"]
    return None


def tokenizer_digest(settings: dict) -> str | None:
    """Digest of tokenizer.json; None if the file is not here."""
    return digest([tokenizer_path(settings)])


def tokens_digest(path: str | Path) -> str | None:
    """Digest of the token ids of all documents; None if the file cannot be read."""
    try:
        table = pyarrow.parquet.read_table(path, columns=["document", "sha256"])
    except (OSError, pyarrow.ArrowException):
        return None
    return _joined(map(list, zip(*table.to_pydict().values(), strict=True)))


def inputs_of(settings: dict, tokens_path: str | Path) -> dict:
    """Digests of a measuring job's inputs: model, draft (if any) and tokens; of a self-check a version too.

    With a model goes the code of its family, which no one knows before the model is here.
    What the model is compared with counts only where the model is, so that it can be compared again.
    """
    given = {name: settings[name] for name in ("model", "draft") if settings.get(name)}
    models = {name: model_digest(model) for name, model in given.items()}
    families = {f"{name} family": family_code(model) for name, model in given.items()}
    against = {name: version(name) for name in settings.get("compared_with", []) if models["model"]}
    return models | families | against | {"tokens": tokens_digest(tokens_path)}


def _recorded_digest(settings: dict) -> str | None:
    if not record_path(settings).is_file():
        return None
    files = read_json(record_path(settings))["files"]
    weights = sorted(name for name in files if any(Path(name).match(end) for end in MODEL_FILES))
    return _joined([name, files[name]["sha256"]] for name in weights)


def _joined(parts: Iterable[list[str]]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:16]


def _remembered() -> dict[tuple, str]:
    found = {}
    with suppress(OSError):
        for line in MEMO.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # a line that was cut
                *key, value = json.loads(line)
                found[tuple(key)] = value
    return found
