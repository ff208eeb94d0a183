"""Downloads from a hub on 127.0.0.1, and that nothing needs it once they are there."""

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_hub import REVISION, FakeHub
from helpers import CODE, FIXTURES, ROOT
from sinkbench.artifacts.hub import MODEL_FILES, check_fetched, hub_folder, is_fetched, record_path
from sinkbench.errors import UserError
from sinkbench.model.loading import load_model
from sinkbench.text.corpora import documents
from sinkbench.text.tokens import load_documents, tokenize
from tiny_texts import bytes_tokenizer

MODEL = {"repo": "org/neox", "revision": REVISION, "kind": "model"}
MODEL["patterns"] = [*MODEL_FILES, "tokenizer.json"]
MODEL_FOLDER = hub_folder("org/neox", REVISION)
TEXTS = {"repo": "org/texts", "revision": REVISION, "kind": "dataset", "patterns": ["data/*.parquet"]}
CORPUS = {"name": "t", "kind": "dataset", "source": "hub", "repo": "org/texts", "revision": REVISION}
CORPUS |= {"files": "data/*.parquet", "column": "text"}
ROWS = ["first row", "second row", "third row"]
FETCH = """
import json, sys
from sinkbench.artifacts import hub_download
from sinkbench.runtime.job import job
hub_download.WAITS_S = (0, 0)
with job("log"):
    hub_download.fetch(**json.loads(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model_hub():
    tiny = FIXTURES / "neox-tiny"
    files = {name: (tiny / name).read_bytes() for name in ("config.json", "model.safetensors")}
    files["tokenizer.json"] = bytes_tokenizer().to_str().encode()
    with FakeHub("org/neox", "model", {**files, "README.md": b"#", "pytorch_model.bin": b"0"}) as hub:
        yield hub


@pytest.fixture
def texts_hub():
    content = io.BytesIO()
    pd.DataFrame({"text": ROWS, "id": range(3)}).to_parquet(content)
    with FakeHub("org/texts", "dataset", {"data/a.parquet": content.getvalue(), "data/a.py": b""}) as hub:
        yield hub


def fetch(hub: str | FakeHub, repository: dict, stated=None, **environment) -> str:
    """What the job prints; the hub's client reads HF_ENDPOINT when it is imported, hence a process."""
    endpoint = hub.endpoint if isinstance(hub, FakeHub) else hub
    paths = {"HF_HOME": str(Path("home").absolute()), "PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", FETCH, json.dumps({**repository, "stated": stated or {}})]
    environment = {**os.environ, **paths, "HF_ENDPOINT": endpoint, **environment}
    done = subprocess.run(command, env=environment, timeout=60)
    log = Path("log").read_text().strip()
    assert done.returncode == ("error: " in log), log
    return log


def refused(*args, **environment) -> str:
    """The one line of a fetch that fails, behind those of its further tries."""
    *tries, said = fetch(*args, **environment).splitlines()
    assert all(line.endswith("again in 0 s") for line in tries)
    assert said.startswith("error: ")
    return said


def downloads(hub: FakeHub) -> list[str | None]:
    """Range headers of the downloads of the checkpoint."""
    return [asked for path, asked in hub.requests if path == "/large/model.safetensors"]


def test_fetch_brings_what_is_wanted_and_records_it(model_hub):
    fetch(model_hub, MODEL)
    wanted = ["config.json", "model.safetensors", "tokenizer.json"]
    assert sorted(path.name for path in MODEL_FOLDER.iterdir()) == wanted
    recorded = json.loads(record_path(MODEL).read_text())["files"]
    assert {name: entry["sha256"] for name, entry in recorded.items()} == {
        name: model_hub.hashes[name] for name in wanted
    }
    assert is_fetched(MODEL)
    assert not is_fetched({**MODEL, "patterns": ["*.json"]})


def test_what_is_there_is_not_fetched_again(model_hub):
    fetch(model_hub, MODEL)
    record_path(MODEL).unlink()
    fetch(model_hub, MODEL)
    assert len(downloads(model_hub)) == 1
    assert is_fetched(MODEL)


def test_cut_download_is_taken_up_where_it_stopped(model_hub):
    model_hub.cut_after, model_hub.cuts, model_hub.dies = 300_000, 2, True  # the config is not that long
    assert "503" in refused(model_hub, MODEL)
    assert not is_fetched(MODEL)
    model_hub.dies = False
    fetch(model_hub, MODEL)
    assert downloads(model_hub)[-1] == "bytes=300000-"
    assert (MODEL_FOLDER / "model.safetensors").read_bytes() == model_hub.files["model.safetensors"]


def test_connections_that_are_cut_are_opened_again(model_hub):
    model_hub.cut_after, model_hub.cuts = 200_000, 5
    fetch(model_hub, MODEL)
    assert downloads(model_hub)[:3] == ["bytes=0-", "bytes=200000-", "bytes=400000-"]
    check_fetched({**MODEL, "source": "hub"})


def test_file_with_another_hash_is_refused(model_hub):
    told = model_hub.info()
    told["siblings"][1]["lfs"]["sha256"] = "0" * 64
    model_hub.info = lambda: told
    assert "does not have the hub's hash and is deleted" in refused(model_hub, MODEL)
    assert not list(Path("resources").rglob("model.safetensors*"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"revision": "f" * 40}, "org/neox@ffffffffffff: http://127.0.0.1:"),
        ({"repo": "org/none"}, "has no such repository or revision, or keeps it private; correct repo"),
        ({"patterns": ["*.gguf"]}, "no file matches '*.gguf'; only .safetensors, .json, .parquet files"),
        ({"patterns": ["*.bin"]}, "'pytorch_model.bin' is refused; only .safetensors"),
    ],
)
def test_what_the_hub_lacks_is_one_line(model_hub, change, expected):
    assert expected in refused(model_hub, {**MODEL, **change})


def test_checkpoint_without_safetensors_is_refused(model_hub):
    del model_hub.files["model.safetensors"]
    assert "no file matches '*.safetensors'" in refused(model_hub, MODEL)
    assert not Path("resources").exists()


def test_no_token_of_the_user_is_sent_unless_asked(model_hub):
    """Not those that the hub's client would send by itself, wherever they lie."""
    token = Path("home/token")
    token.parent.mkdir()
    token.write_text("hf_stored")
    fetch(model_hub, MODEL, HF_TOKEN="hf_of_the_environment", HUGGING_FACE_HUB_TOKEN="hf_old")
    assert model_hub.tokens == set() and model_hub.requests
    record_path(MODEL).unlink()
    fetch(model_hub, MODEL, HF_TOKEN="hf_of_the_environment", SINKBENCH_HUB_TOKEN="hf_asked")
    assert model_hub.tokens == {"Bearer hf_asked"}


@pytest.mark.parametrize("where", ["/revision/", "/resolve/", "/large/"])
@pytest.mark.parametrize("statuses", [[503], [429, 502]])
def test_a_fault_that_may_pass_is_tried_again(model_hub, where, statuses):
    model_hub.busy = {where: list(statuses)}
    assert fetch(model_hub, MODEL).count("again in 0 s") == len(statuses)
    assert is_fetched(MODEL) and model_hub.busy == {where: []}


def test_a_fault_that_does_not_pass_is_told_in_the_end(model_hub):
    model_hub.busy = {"/revision/": [503] * 3}
    assert "503" in refused(model_hub, MODEL)
    asked = [path for path, _ in model_hub.requests if "/revision/" in path]
    assert len(asked) == 3  # the waits of FETCH are two
    model_hub.requests.clear()
    assert "no such repository" in refused(model_hub, {**MODEL, "repo": "org/none"})
    assert sum("/revision/" in path for path, _ in model_hub.requests) == 1


def test_no_network_is_one_line_with_advice(model_hub):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        said = refused(f"http://127.0.0.1:{closed.getsockname()[1]}", MODEL)
    for advice in ("Connection refused", "must be trusted", "source: folder", "make demo"):
        assert advice in said
    assert "offline mode" in refused(model_hub, MODEL, HF_HUB_OFFLINE="1")


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"{}", b'"text"'])
def test_what_is_no_hub_is_one_line(model_hub, page):
    model_hub.page = page
    assert "no hub answers at http://127.0.0.1" in refused(model_hub, MODEL, HF_HUB_DISABLE_TELEMETRY="1")


def test_everything_works_without_a_network_after_a_fetch(model_hub, texts_hub, monkeypatch):
    fetch(model_hub, MODEL)
    fetch(texts_hub, TEXTS)
    monkeypatch.setattr(socket.socket, "connect", no_connection)
    source = {"source": "hub", **MODEL}
    settings = {"corpus": CORPUS, "tokenizer": source, "code": CODE}
    tokenize(settings, "tokens.parquet", "tokens.json")
    ids = load_documents("tokens.parquet", settings)["t-0"]
    assert load_model({**source, "dtype": "float32"}, "cpu").config.vocab_size > max(ids)


def no_connection(*_):
    raise AssertionError("something opens a connection")


def test_rows_of_a_dataset(texts_hub):
    fetch(texts_hub, TEXTS)
    assert list(documents(CORPUS)) == [(f"t-{row}", text) for row, text in enumerate(ROWS)]
    assert list(documents({**CORPUS, "max_documents": 2})) == [("t-0", "first row"), ("t-1", "second row")]
    joined = "first row\n\nsecond row\n\nthird row"
    assert list(documents({**CORPUS, "join_rows": True})) == [("t", joined)]
    with pytest.raises(UserError, match=r"corpora.t.column: 'id' is not a column of text in .*a.parquet"):
        list(documents({**CORPUS, "column": "id"}))
    with open(hub_folder("org/texts", REVISION) / "data/a.parquet", "r+b") as file:
        file.truncate(100)
    with pytest.raises(UserError, match="missing or cut"):
        list(documents(CORPUS))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SSL_CERT_FILE", "/none.pem", "No such file or directory); correct SSL_CERT_FILE"),
        ("SSL_CERT_FILE", __file__, "); correct SSL_CERT_FILE"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:9", "SOCKS"),
        ("all_proxy", "http://[::1", "); correct all_proxy"),
    ],
)
def test_a_proxy_or_certificate_that_cannot_be_used_is_the_cause_that_is_named(name, value, said):
    script = "from sinkbench.artifacts.hub_download import listed; listed('o/r', '0' * 40, 'model', ['x'])"
    mine = {
        key: word
        for key, word in os.environ.items()
        if not key.upper().endswith(("_PROXY", "_CERT_DIR", "_CERT_FILE"))
    }
    environment = mine | {name: value, "PYTHONPATH": str(ROOT / "scripts")}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    line = result.stderr.splitlines()[-1]
    assert "UserError: o/r@000000000000: this machine's proxy or certificates cannot be used" in line
    assert said in line
