"""Sources of a study's models, tokenizer and texts, and their files."""

from pathlib import Path

from sinkbench.artifacts.digests import file_digest, weight_files
from sinkbench.artifacts.files import special_in
from sinkbench.artifacts.hub import (
    CONVERTED,
    MODEL_FILES,
    TOKENIZER_FILES,
    converted_name,
    hub_folder,
    record_path,
)
from sinkbench.artifacts.tokenizer_file import tokenizer_path
from sinkbench.errors import UserError, shown
from sinkbench.text import corpora

KEYS = {  # by source
    "hub": ("repo", "revision"),
    "folder": ("path",),
    "package": ("requirement", "file", "sha256"),
    "gguf": ("path", "sha256"),
    "random": ("shape", "seed"),
}

# Of a hub source the digests of its files, on which no result depends; else that of the gguf file.
DIGESTS = "sha256"


def stated_digests(config: dict) -> dict[str, dict[str, str]]:
    """The sha256 that a config states of the hub's files, by file, by the name of the repository's folder.

    Raises:
        UserError: two sources of one repository state different digests of a file.
    """
    sources = {key: config[key] for key in ("model", "draft", "tokenizer") if key in config}
    sources |= {f"corpora[{index}]": entry for index, entry in enumerate(config["corpora"])}
    found: dict[str, dict[str, str]] = {}
    for key, entry in sources.items():
        if entry.get("source") == "hub":
            known = found.setdefault(hub_folder(entry["repo"], entry["revision"]).name, {})
            for file, digest in (entry.get(DIGESTS) or {}).items():
                if known.setdefault(file, digest) != digest:
                    raise UserError(f"{key}.{DIGESTS}: of {file} another digest is stated elsewhere")
    return found


class StudyInputs:
    """The sources that a config names.

    Args:
        config: validated (config.validate).
        drafts: whether a run drafts; a study without such runs needs no draft model.

    Attributes:
        model, draft, tokenizer: source and what it needs, dtype for models; draft is None without drafts.
        corpora: entries of the config by name.
        stated: sha256 by file that the config states, by repository (stated_digests).

    Raises:
        UserError: a source lacks a key, or two state different digests of a file; names it.
    """

    def __init__(self, config: dict, drafts: bool):
        if drafts and "draft" not in config:
            raise UserError("draft: missing (needed with speculate)")
        dtype = {"dtype": config["model"]["dtype"]}
        self.model = dtype | _source("model", config["model"])
        self.draft = dtype | _source("draft", config["draft"]) if drafts else None
        self.tokenizer = _source("tokenizer", config["tokenizer"])
        self.corpora = _corpora_by_name(config["corpora"])
        self.stated = stated_digests(config)

    def model_files(self) -> list[Path]:
        """Files whose change makes every measurement stale."""
        return weight_files(self.model)

    def draft_files(self) -> list[Path]:
        """Files whose change makes every measurement with drafts stale."""
        return weight_files(self.draft) if self.draft else []

    def text_files(self, corpus: str) -> list[Path]:
        """Files whose change makes the tokens of a corpus stale."""
        entry = self.corpora[corpus]
        if self.tokenizer["source"] == "folder":
            tokenizer = _taken([tokenizer_path(self.tokenizer)])
        else:
            tokenizer = [record_path(self.tokenizer)]
        if entry.get("source") == "hub":
            return [*tokenizer, record_path(entry)]
        if entry["kind"] in corpora.PYTHONS:  # Python's: a token file carried to another Python stands
            return tokenizer
        try:
            return [*tokenizer, *_taken(corpora.find(entry))]
        except UserError:  # the preflight says it; a plan may be made where the texts are not
            return tokenizer

    def repositories(self) -> dict[str, dict]:
        """Arguments of hub_download.fetch for every repository, by the name of the folder that it fills."""
        wanted = [(self.tokenizer, "model", TOKENIZER_FILES), (self.model, "model", MODEL_FILES)]
        wanted += [(self.draft, "model", MODEL_FILES)] if self.draft else []
        wanted += [(entry, "dataset", [entry.get("files")]) for entry in self.corpora.values()]
        found: dict[str, dict] = {}
        for entry, kind, patterns in wanted:
            if entry.get("source") == "hub":
                about = {"repo": entry["repo"], "revision": entry["revision"], "kind": kind, "patterns": []}
                known = found.setdefault(hub_folder(entry["repo"], entry["revision"]).name, about)
                known["patterns"] = sorted({*known["patterns"], *patterns})
        return found

    def conversions(self) -> dict[str, dict]:
        """Sources that are one gguf file (model.gguf), by the name of the folder that it becomes."""
        given = [entry for entry in (self.tokenizer, self.model, self.draft) if entry]
        files = [entry for entry in given if entry["source"] in CONVERTED]
        keys = ("source", "requirement", "file", "path", "sha256")
        return {converted_name(entry): {key: entry[key] for key in keys if key in entry} for entry in files}


def _taken(paths: list[Path]) -> list[Path]:
    """Files that are there, with names that Snakemake takes; the content of all is compared anyway."""
    return [path for path in paths if path.is_file() and str(path).isprintable() and not special_in(path)]


def _corpora_by_name(entries: list[dict]) -> dict[str, dict]:
    named = {}
    for index, entry in enumerate(entries):
        if entry["name"] in named:
            raise UserError(f"corpora[{index}].name: {shown(entry['name'])} is listed twice")
        if "source" in entry and entry["kind"] != "dataset":
            raise UserError(f"corpora[{index}].source: only kind dataset has a source")
        source = entry.get("source")
        missing = [key for key in KEYS.get(source, ()) if key not in entry]
        if missing:
            raise UserError(f"corpora[{index}]: missing {', '.join(missing)} (needed with source: {source})")
        named[entry["name"]] = {key: value for key, value in entry.items() if key != DIGESTS}
    return named


def _source(name: str, entry: dict) -> dict:
    """A source without the keys that an overlaid config left behind from another source."""
    if entry["source"] == "gguf" and not entry.get(DIGESTS):
        path = Path(entry["path"]).expanduser()
        found = f"that of {path} is {file_digest(path)}" if path.is_file() else f"{path} is not here"
        raise UserError(f"{name}.{DIGESTS}: missing (needed with source: gguf); {found}")
    return {key: entry[key] for key in ("source", *KEYS[entry["source"]])}
