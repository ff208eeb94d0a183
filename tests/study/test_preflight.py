"""What a machine lacks is said in one line before any job."""

import hashlib
import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from helpers import FIXTURES, ROOT
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.files import write_json
from sinkbench.artifacts.hub import CONVERSION, local_folder, record_path
from sinkbench.errors import UserError
from sinkbench.study import preflight
from sinkbench.study.study import Study
from snakemake.utils import update_config
from tiny_texts import bytes_tokenizer

TINY = FIXTURES / "neox-tiny"
HUB = {"source": "hub", "repo": "org/neox", "revision": "0" * 40}
DATASET = {
    "name": "d",
    "kind": "dataset",
    "source": "folder",
    "path": "data",
    "files": "*.parquet",
    "column": "text",
}
TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040). Please update it.\nMore."


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """A working directory with a model, a tokenizer and a text."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TINY, "model")
    bytes_tokenizer().save("model/tokenizer.json")
    Path("text.txt").write_text("some text")


def study(**changes) -> Study:
    """The demo on the files of the working directory, with other values for some top-level keys."""
    config: dict = {}
    for file in ("config.yaml", "workflow/studies/demo.yaml"):
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    folder = {"source": "folder", "path": "model"}
    corpus = {"name": "stdlib", "kind": "files", "glob": "*.txt"}
    own = {"model": {**folder, "dtype": "float32"}, "tokenizer": folder, "draft": folder, "corpora": [corpus]}
    return Study({**config, **own, **changes})


def line(*args, **stages) -> str:
    with pytest.raises(UserError) as caught:
        preflight.check(*args, **stages)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_complete_machine_passes_in_silence(capfd):
    preflight.check(study())
    assert capfd.readouterr() == ("", "")


def test_missing_draft():
    assert line(study(draft={"source": "folder", "path": "none"})).startswith("none: no config.json there")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"glob": "none/*.txt"}, "corpora.stdlib.glob: no file matches 'none/*.txt'"),
        (
            {"kind": "stdlib", "modules": ["nope", "nada"]},
            "corpora.stdlib.modules: 'nope' is no module of Python's standard library",
        ),
        (DATASET, "corpora.d.files: no '*.parquet' in data"),
    ],
)
def test_missing_corpus(change, expected):
    config = study().config
    corpus = change if change is DATASET else {**config["corpora"][0], **change}
    speed = {**config["speed"], "corpus": corpus["name"]}
    continuations = {**config["continuations"], "corpus": corpus["name"]}
    recall, shares = ({**config[key], "corpus": corpus["name"]} for key in ("recall", "sink_shares"))
    incomplete = study(
        corpora=[corpus], speed=speed, continuations=continuations, recall=recall, sink_shares=shares
    )
    assert line(incomplete).startswith(expected)
    preflight.check(incomplete, tokenizes=False)


def test_missing_tokenizer():
    Path("model/tokenizer.json").unlink()
    assert line(study()) == "tokenizer.path: no tokenizer.json in model"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda: shutil.rmtree("model"), "model: no config.json there"),
        (
            lambda: Path("model/model.safetensors").rename("model/pytorch_model.bin"),
            "other checkpoint formats are refused",
        ),
        (
            lambda: Path("model/config.json").write_text('{"model_type": "gpt2"}'),
            "model_type: 'gpt2' is not one of gpt_neox",
        ),
        (lambda: Path("model/config.json").write_text("{"), "model/config.json: not readable as JSON"),
    ],
)
def test_missing_or_wrong_model(damage, expected):
    damage()
    assert expected in line(study(), tokenizes=False)
    preflight.check(study(), tokenizes=False, measures=False)


def test_hub_that_does_not_answer():
    """The client reads HF_ENDPOINT when it is imported, hence a process."""
    program = (
        "import pickle, sys; from sinkbench.study.preflight import check; "
        "check(pickle.load(sys.stdin.buffer))"
    )
    waiting = study(model={**HUB, "dtype": "float32"}, device="cuda")
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(waiting),
        env={"PYTHONPATH": str(ROOT / "scripts"), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "home"},
        capture_output=True,
        timeout=30,
    )
    said = done.stderr.decode().strip().splitlines()[-1]
    assert "org/neox@000000000000: cannot be fetched from http://127.0.0.1:9 ([Errno 111]" in said
    assert "`make demo` needs no network" in said


def test_job_that_fetches_nothing_asks_no_hub(monkeypatch):
    monkeypatch.setattr(preflight, "_check_hub", lambda _: pytest.fail("asks the hub"))
    preflight.check(study(model={**HUB, "dtype": "float32"}), fetches=False)


def test_fetched_repository_needs_no_hub_but_must_be_whole():
    fetched = study(model={**HUB, "dtype": "float32"})
    folder = record_path(HUB).with_suffix("")
    shutil.copytree(TINY, folder)
    files = {path.name: {"bytes": path.stat().st_size, "sha256": ""} for path in folder.iterdir()}
    record_path(HUB).write_text(json.dumps({**fetched.inputs.repositories()[folder.name], "files": files}))
    preflight.check(fetched)
    (folder / "model.safetensors").write_bytes(b"cut")
    assert "model.safetensors: missing or cut" in line(fetched)


PACKAGE = {"source": "package", "requirement": "tiny==1.0", "file": "tiny/m.gguf", "sha256": "a" * 64}


def gguf(path: str, content: bytes = b"GGUF") -> dict:
    """Settings of a gguf file, which need not be there."""
    return {"source": "gguf", "path": path, "sha256": hashlib.sha256(content).hexdigest()}


def convert(settings: dict) -> Path:
    """What a conversion leaves: a folder and its record."""
    shutil.copytree("model", folder := local_folder(settings))
    files = {path.name: {"bytes": path.stat().st_size, "sha256": "b" * 64} for path in folder.iterdir()}
    write_json(record_path(settings), settings | {"conversion": CONVERSION, "files": files})
    return folder


def test_a_gguf_file_states_its_digest():
    Path("m.gguf").write_bytes(b"GGUF")
    without = {key: value for key, value in gguf("m.gguf").items() if key != "sha256"}
    with pytest.raises(UserError) as caught:
        study(tokenizer=without)
    digest = hashlib.sha256(b"GGUF").hexdigest()
    assert str(caught.value) == (
        f"tokenizer.sha256: missing (needed with source: gguf); that of m.gguf is {digest}"
    )


@pytest.mark.parametrize("source", [PACKAGE, gguf("m.gguf")])
def test_what_was_converted_needs_neither_package_nor_file(source):
    """Nor does a study whose results are there need what was converted."""
    converted = study(model={**source, "dtype": "float32"}, tokenizer=source, draft=source)
    assert list(converted.inputs.conversions().values()) == [source]
    assert converted.inputs.model_files() == converted.inputs.draft_files() == [record_path(source)]
    preflight.check(converted, fetches=False, tokenizes=False, measures=False)
    folder = convert(source)
    preflight.check(converted)
    (folder / "model.safetensors").write_bytes(b"cut")
    assert "model.safetensors: missing or cut" in line(converted)
    record = record_path(source)
    write_json(record, json.loads(record.read_text()) | {"conversion": CONVERSION - 1})
    assert line(converted) == (
        f"{record}: converted by rules that were changed since; delete it and fetch again"
    )


def test_a_gguf_file_that_is_not_there_is_missed_only_where_it_is_converted(monkeypatch):
    waiting = study(model={**gguf("m.gguf"), "dtype": "float32"})
    assert line(waiting).startswith("path: no file m.gguf, which source gguf names")
    preflight.check(waiting, fetches=False)
    Path("m.gguf").write_bytes(b"GGUF" * 1000)
    monkeypatch.setattr(preflight, "disk_usage", lambda _: SimpleNamespace(free=20e3))
    assert line(waiting) == "resources/hub: 0 MB are free on its disk, and about 0.0 MB are needed"


class FakeCuda:
    """What torch says of a machine where CUDA does not work."""

    def __init__(self, monkeypatch, driver: str | None, built: str | None, complaint: str = ""):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.cuda, "init", lambda: self.complain(complaint))
        monkeypatch.setattr(preflight, "_driver", lambda: driver)

    @staticmethod
    def complain(complaint: str) -> None:
        if complaint:
            raise RuntimeError(complaint)


def test_no_gpu(monkeypatch):
    FakeCuda(monkeypatch, driver=None, built="13.0")
    said = line(study(device="cuda"))
    assert said.startswith("device: cuda, but this machine has no NVIDIA GPU")
    assert "`make demo`" in said
    preflight.check(study(device="cuda"), measures=False)


def test_cpu_build_of_torch(monkeypatch):
    FakeCuda(monkeypatch, driver="535.104", built=None)
    assert f"torch {torch.__version__} is a CPU build; see docs/running.md" in line(study(device="cuda"))


def test_driver_too_old_for_the_build(monkeypatch):
    FakeCuda(monkeypatch, driver="470.82", built="13.0", complaint=TOO_OLD)
    said = line(study(device="cuda"))
    assert (
        "(built for CUDA 13.0) cannot use driver 470.82: The NVIDIA driver on your system is too old" in said
    )
    assert "take a build for an older CUDA, see docs/running.md, 'Which torch'" in said


def test_hidden_gpu(monkeypatch):
    FakeCuda(monkeypatch, driver="580.65", built="13.0", complaint="No CUDA GPUs are available")
    assert "cannot use driver 580.65: No CUDA GPUs are available" in line(study(device="cuda"))


def test_gpu_that_works(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    preflight.check(study(device="cuda"))


def test_driver_is_none_without_nvidia_smi(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert preflight._driver() is None


def with_tokenizer(folder: str, content: dict) -> None:
    rules = json.loads(Path("model/tokenizer.json").read_text())
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "tokenizer.json").write_text(json.dumps(rules | content))


def test_a_tokenizer_with_more_tokens_than_the_model():
    bytes_tokenizer(("<|extra|>",)).save("model/tokenizer.json")
    said = "model: its vocabulary ends at id 255, and model/tokenizer.json has ids up to 256: "
    assert line(study()).startswith(said)


def test_a_draft_of_another_tokenizer():
    shutil.copytree("model", "draft")
    rules = json.loads(Path("model/tokenizer.json").read_text())
    words = dict(zip(rules["model"]["vocab"], reversed(rules["model"]["vocab"].values()), strict=True))
    with_tokenizer("draft", {"model": rules["model"] | {"vocab": words}})
    said = line(study(draft={"source": "folder", "path": "draft"}))
    assert said.startswith("draft: its own tokenizer, draft/tokenizer.json, gives other ids than the study's")


def test_a_draft_that_is_larger_than_the_model():
    shape = json.loads(Path("model/config.json").read_text())
    kept = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size")
    draft = {"source": "random", "seed": 0, "shape": {key: shape[key] for key in kept}}
    preflight.check(study(draft=draft | {"shape": draft["shape"] | {"num_hidden_layers": 1}}))
    said = line(study(draft=draft | {"shape": draft["shape"] | {"num_hidden_layers": 50}}))
    assert re.fullmatch(
        r"draft: it has [\d,]{9,} parameters in its layers, more than the [\d,]+ of the model", said
    )


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer"])
def test_a_model_of_another_tokenizer(part):
    shutil.copytree("model", "other")
    with_tokenizer("other", {part: {"type": "Lowercase"}})
    assert line(study(tokenizer={"source": "folder", "path": "other"})).startswith("model: its own tokenizer")


def test_a_tokenizer_file_that_differs_in_its_layout_is_the_same():
    shutil.copytree("model", "draft")
    rules = json.loads(Path("model/tokenizer.json").read_text())
    lean = {key: value for key, value in rules["model"].items() if value not in (None, False)}
    other = {"padding": {"direction": "Left"}, "truncation": {"max_length": 9}, "model": lean}
    with_tokenizer("draft", other)
    preflight.check(study(draft={"source": "folder", "path": "draft"}))
    Path("draft/tokenizer.json").unlink()
    preflight.check(study(draft={"source": "folder", "path": "draft"}))


def test_a_draft_padded_otherwise_is_no_mistake():
    shutil.copytree("model", "draft")
    tensors = load_file("draft/model.safetensors")
    tensors |= {name: torch.cat((tensors[name], torch.zeros(64, 64))) for name in tensors if "embed" in name}
    save_file(tensors, "draft/model.safetensors")
    config = json.loads(Path("draft/config.json").read_text())
    Path("draft/config.json").write_text(json.dumps(config | {"vocab_size": 320, "torch_dtype": "auto"}))
    preflight.check(study(draft={"source": "folder", "path": "draft"}))


@pytest.mark.parametrize("name", ["model{x}", "model<1>", "mo\ndel"])
def test_a_path_that_the_workflow_cannot_bear(name):
    shutil.copytree("model", name)
    assert "is none that Snakemake can read; rename it" in line(
        study(draft={"source": "folder", "path": name})
    )


def test_a_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    folder = {"source": "folder", "path": "~/model"}
    corpus = {"name": "stdlib", "kind": "files", "glob": "~/*.txt"}
    preflight.check(
        study(model={**folder, "dtype": "float32"}, tokenizer=folder, draft=folder, corpora=[corpus])
    )


def test_a_disk_without_room_is_named_before_any_job(monkeypatch):
    monkeypatch.setattr(preflight, "disk_usage", lambda _: SimpleNamespace(free=2e9))
    preflight.check(study(), result_bytes=1e9)
    said = line(study(), result_bytes=3.14e9)
    assert said == "results: 2,000 MB are free on its disk, and about 3,140.0 MB are needed"
    monkeypatch.setattr(preflight, "_check_hub", lambda _: 5e9)
    waiting = study(model={**HUB, "dtype": "float32"})
    assert line(waiting) == "resources/hub: 2,000 MB are free on its disk, and about 5,000.0 MB are needed"
