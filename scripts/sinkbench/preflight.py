"""Checks before any job starts: what a study needs and this machine lacks, in one line, within seconds."""

import subprocess
import urllib.error
import urllib.request
from glob import glob
from pathlib import Path

from sinkbench.errors import UserError
from sinkbench.hub import advice, local_folder, record_path
from sinkbench.model_folder import check_model_folder
from sinkbench.study import Study

DEMO = "`make demo` runs the study in small on any machine"
HUB_TIMEOUT_S = 5


def check(study: Study) -> None:
    """Raise UserError for the first thing that is missing."""
    sources = [study.model, study.tokenizer, *study.corpora.values()]
    if any(source.get("source") == "hub" and not record_path(source).is_file() for source in sources):
        _check_hub()
    if study.model["source"] == "folder":
        check_model_folder(Path(study.model["path"]))
    if study.tokenizer["source"] == "folder":
        _check_tokenizer(local_folder(study.tokenizer))
    for corpus in study.corpora.values():
        _check_corpus(corpus)
    if study.config["device"] == "cuda":
        _check_cuda()


def _check_hub() -> None:
    from huggingface_hub.constants import ENDPOINT

    try:
        urllib.request.urlopen(ENDPOINT, timeout=HUB_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return  # it answered, which is all that is asked of it here
    except (OSError, ValueError) as error:
        raise UserError(f"{ENDPOINT} does not answer ({error}): {advice()}") from None


def _check_tokenizer(folder: Path) -> None:
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"tokenizer.path: no tokenizer.json in {folder}")


def _check_corpus(corpus: dict) -> None:
    where = f"corpora.{corpus['name']}"
    if corpus["kind"] == "files" and not glob(corpus["glob"], recursive=True):
        raise UserError(f"{where}.glob: no file matches {corpus['glob']!r}")
    if corpus["kind"] == "dataset" and corpus["source"] == "folder":
        if not list(Path(corpus["path"]).glob(corpus["files"])):
            raise UserError(f"{where}.path: no {corpus['files']!r} in {corpus['path']}")


def _check_cuda() -> None:
    """torch must see a GPU; a driver too old for torch's CUDA is the usual reason why it does not."""
    import torch

    if torch.cuda.is_available():
        return
    driver = _driver()
    if driver is None:
        raise UserError(f"device: cuda, but this machine has no NVIDIA GPU; {DEMO}")
    built = torch.version.cuda
    if built is None:
        raise UserError(f"device: cuda, but torch {torch.__version__} is a CPU build; see README, 'Which torch'")
    raise UserError(
        f"device: cuda, but torch {torch.__version__} (built for CUDA {built}) cannot use driver {driver}; "
        "install the build for an older CUDA: see README, 'Which torch'"
    )


def _driver() -> str | None:
    """Version of the NVIDIA driver, or None where there is none."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
