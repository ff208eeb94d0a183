"""Check before any job starts what a study needs and this machine lacks, in one line, within seconds."""

from pathlib import Path
from shutil import disk_usage

from sinkbench.artifacts.files import check_path
from sinkbench.artifacts.hub import ROOT, check_fetched, is_fetched, local_folder, record_path
from sinkbench.artifacts.hub_lock import check_record
from sinkbench.artifacts.tokenizer_file import FILE, give_the_same_ids, largest_id, read_rules, tokenizer_path
from sinkbench.errors import UserError, first_line
from sinkbench.model import families
from sinkbench.model.checkpoint import check_model_folder
from sinkbench.runtime.shell import try_run
from sinkbench.study.device_memory import ModelSizes, config_of
from sinkbench.study.study import Study
from sinkbench.text import corpora

DEMO = "`make demo` runs the study in small on any machine"
PACKED_BYTES = 1e9  # room asked for what becomes of a file whose size is not known before it is fetched
GROWTH = 8  # of a gguf file: weights of 4 to 5 bits become float32
WHERE = "see docs/running.md, 'Which torch'"


def check(
    study: Study,
    fetches: bool = True,
    tokenizes: bool = True,
    measures: bool = True,
    result_bytes: float = 0,
) -> None:
    """Raise UserError for the first thing that is missing; the cheapest checks come first.

    Args:
        fetches: hub, package index or disk must have what is not here yet.
        tokenizes: tokenizer and texts are needed.
        measures: the model and its device are needed.
        result_bytes: that are to be written.
    """
    if tokenizes:
        _check_tokenizer(study.tokenizer)
        for corpus in study.corpora.values():
            if corpus.get("source") != "hub":
                corpora.find(corpus)
    missing_bytes = 0
    for folder, repository in study.inputs.repositories().items():
        if is_fetched(repository):
            check_fetched(repository)
            check_record(repository, study.inputs.stated.get(folder, {}))
        elif fetches:
            missing_bytes += _check_hub(repository)
    for source in study.inputs.conversions().values():
        if record_path(source).is_file():
            check_fetched(source)
        elif fetches:
            missing_bytes += _check_gguf(source)
    _check_room(ROOT, missing_bytes)
    _check_room(Path("results"), result_bytes)
    if measures:
        for key, model in (("model", study.model), ("draft", study.draft)):
            if model:
                _check_model(key, model, study.tokenizer)
        _check_draft(study)
        if study.config["device"] == "cuda":
            _check_cuda()


def _check_tokenizer(settings: dict) -> None:
    check_path(local_folder(settings))
    if settings["source"] == "folder" and not tokenizer_path(settings).is_file():
        raise UserError(f"tokenizer.path: no {FILE} in {settings['path']}")


def _check_room(folder: Path, needed: float) -> None:
    """Raise UserError if the disk of a folder, or of what will hold it, has less than `needed` bytes free."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if (free := disk_usage(there).free) < needed:
        raise UserError(
            f"{folder}: {free / 1e6:,.0f} MB are free on its disk, and about "
            f"{needed / 1e6:,.1f} MB are needed"
        )


def _check_hub(repository: dict) -> int:
    """Bytes that the hub has for it."""
    # Its client takes a second, which most runs need not wait.
    from sinkbench.artifacts.hub_download import listed

    return sum(file.size for file in listed(**repository))


def _check_gguf(source: dict) -> float:
    """Bytes, at most, of what a gguf file becomes."""
    if source["source"] == "package":
        return PACKED_BYTES
    if not (path := Path(source["path"]).expanduser()).is_file():
        raise UserError(
            f"path: no file {source['path']}, which source gguf names, and resources/hub has nothing of it"
        )
    return GROWTH * path.stat().st_size


def _check_model(key: str, settings: dict, tokenizer: dict) -> None:
    """A model that can be read, and the study's tokenizer is its own, as far as they are on this machine."""
    own = None
    if settings["source"] == "random":
        family, arguments = families.read_shape(settings["shape"], f"{key}.shape")
        size = family.shape(arguments).vocabulary
    elif settings["source"] == "folder" or record_path(settings).is_file():
        check_path(folder := local_folder(settings))
        size, own = check_model_folder(folder).vocabulary, folder / FILE
    else:
        return
    if (path := tokenizer_path(tokenizer)).is_file():
        _check_ids(key, size, own, path)


def _check_draft(study: Study) -> None:
    """The draft model is no larger than the model, as far as both are on this machine."""
    configs = [config_of(model) for model in (study.model, study.draft) if model]
    model, *draft = [config and ModelSizes(config | {"vocab_size": 1}, 1).weights for config in configs]
    if model and any(draft) and draft[0] > model:
        raise UserError(
            f"draft: it has {draft[0]:,} parameters in its layers, more than the {model:,} of the model"
        )


def _check_ids(key: str, size: int, own: Path | None, path: Path) -> None:
    """The ids of the study's tokenizer at `path` are those of a model with `size` of them.

    Args:
        own: where the model's own tokenizer would lie.
    """
    rules = read_rules(path)
    if largest_id(rules) >= size:
        raise UserError(
            f"{key}: its vocabulary ends at id {size - 1}, and {path} has ids up to {largest_id(rules)}: "
            "model and tokenizer do not belong together"
        )
    has_another = own and own != path and own.is_file()
    if has_another and not give_the_same_ids(rules, read_rules(own)):
        raise UserError(f"{key}: its own tokenizer, {own}, gives other ids than the study's, {path}")


def _check_cuda() -> None:
    import torch  # takes seconds, which a study on the CPU need not wait

    if torch.cuda.is_available():
        return
    driver = _driver()
    if driver is None:
        raise UserError(f"device: cuda, but this machine has no NVIDIA GPU (nvidia-smi finds none); {DEMO}")
    if torch.version.cuda is None:
        raise UserError(f"device: cuda, but torch {torch.__version__} is a CPU build; {WHERE}")
    raise UserError(
        f"device: cuda, but torch {torch.__version__} (built for CUDA {torch.version.cuda}) cannot use "
        f"driver {driver}: {_complaint(torch)}; for an older driver take a build for an older CUDA, {WHERE}"
    )


def _complaint(torch) -> str:
    """Why torch sees no GPU, in its own words."""
    try:
        torch.cuda.init()
    except RuntimeError as error:
        return first_line(error).rstrip(".")
    return "it finds no device"


def _driver() -> str | None:
    """Version of the NVIDIA driver, or None where there is none."""
    return try_run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0")
