"""Every benchmark runs at toy size, or says in one line what it needs."""

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from helpers import FIXTURES, ROOT
from sinkbench.artifacts.parquet import read_table
from sinkbench.errors import UserError
from sinkbench.runtime.memory import BYTES
from tiny_texts import bytes_tokenizer

BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))
TEXT = [f"{number} is followed by {number + 1}; " for number in range(400)]
WHOLE = {"family": "baseline", "policy": "dense", "options": {"max_tokens": 64}, "profile": False}
RING = {"family": "streaming", "policy": "streaming", "options": {"budget": 24, "sinks": 4}, "profile": False}


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a benchmark with options, and gives what it prints."""
    monkeypatch.setitem(BYTES, "cpu", 1 << 20)

    def run(name: str, *options) -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
        import_module(name).main()
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory) -> Path:
    """The tiny model with a tokenizer of bytes."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    shutil.copytree(FIXTURES / "neox-tiny", folder)
    bytes_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def overlay(tiny_folder, tmp_path) -> Path:
    """A study of the tiny model; one run has drafts, and one cannot be made on a CPU."""
    (tmp_path / "text.txt").write_text("".join(TEXT))
    source = {"source": "folder", "path": str(tiny_folder)}
    config = {
        "study": "smoke",
        "device": "cpu",
        "model": source | {"dtype": "float32"},
        "draft": source,
        "tokenizer": source,
        "corpora": [{"name": "numbers", "kind": "files", "glob": f"{tmp_path}/*.txt"}],
        "evaluation": {"chunk_tokens": 32},
        "runs": [
            WHOLE | {"engine": ["hf", "eager"]},
            RING | {"engine": ["eager", "graph"], "tpot_against": "dense.hf"},
            RING | {"family": "speculation", "engine": "eager", "speculate": {"draft_tokens": 2}},
        ],
        "speed": {"corpus": "numbers", "contexts": [40], "positions": [40], "warmup": 1, "steps": 3}
        | {"repetitions": 2, "check_tokens": 4},
    }
    path = tmp_path / "smoke.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_every_file_is_tested_here():
    """A new benchmark needs a test of its own in this folder."""
    tested = {
        "dialled",
        "evaluator",
        "faults",
        "flat_memory",
        "ladder",
        "new_lengths",
        "offline",
        "prompt_start",
        "shares",
        "speculation",
        "tiles",
        "verify_cost",
    }
    assert {path.stem for path in BENCHMARKS.iterdir() if path.is_file()} == tested | {"library", "rungs"}


def test_evaluator(run):
    said = run("evaluator", "--tokens", 200, "--chunk", 64, "--budget", 64, "--decode", 4, "--repetitions", 1)
    rows = said.splitlines()
    assert [row.split()[0] for row in rows] == ["evaluator", "eager", "paper"]
    assert all("nats on 4 tokens" in row for row in rows[1:])


def test_prompt_start(run, overlay):
    sizes = ("--budget", 24, "--prompt", 40)
    said = run("prompt_start", "--study", overlay, "--device", "cpu", "--engines", "eager", *sizes)
    head, *rows = (line.split() for line in said.splitlines())
    assert head == ["engine", "prompt", "prompt_ms", "first_step_ms"]
    assert [row[:2] for row in rows] == [["eager", str(number)] for number in range(1, 5)]


def test_flat_memory(run):
    rows = run("flat_memory", "--lengths", 300, 600, "--chunk", 256).splitlines()
    assert [row.split()[0] for row in rows] == ["300", "600"]


def test_speculation(run, tiny_folder, tmp_path):
    models = ("--model", tiny_folder, "--draft", tiny_folder, "--budget", 24, "--documents", 1)
    sizes = ("--positions", "32,48", "--tokens", 6, "--draft-tokens", "1,2", "--chunk", 32)
    said = run("speculation", *models, *sizes, "--repetitions", 2, "--output", tmp_path / "rows.csv")
    assert "1 documents on cpu" in said and "target 3" in said and "acceptance" in said
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1 + 2 * 2 * 2 * 2


def without_marks(said: str) -> str:
    """Without the marks of statuses, whose words stand below a table: a busy host disturbs a run."""
    return re.sub("<sup>.*?</sup>", "", said)


def test_ladder_shows_runs_with_drafts_and_keeps_what_was_measured(run, overlay, tmp_path):
    results = tmp_path / "kept"
    said = run("ladder", "--study", "demo", overlay, "--results", results)
    assert "streaming-4+20.graph: unavailable: " in said and "Measured on " in said
    cells = [
        [cell.strip() for cell in row.split("|")]
        for row in without_marks(said).splitlines()
        if row.startswith("| ")
    ]
    ladder = {f"{row[1]}.{row[2]}" for row in cells}
    assert {"dense.hf", "dense.eager", "streaming-4+20.eager", "streaming-4+20.graph"} <= ladder
    assert "streaming-4+20.eager-k2" in {row[1] for row in cells}
    assert read_table(results / "streaming-4+20.eager-k2.parquet")[1]["status"] == "ok"
    measured = read_table(results / "measurements.parquet")[0]
    assert set(measured["engine"]) == {"hf", "eager", "graph", "eager-k2"}


def test_ladder_of_runs_with_drafts_alone(run, overlay, tmp_path):
    """Of a model, and looked up. The other table would be empty."""
    study = yaml.safe_load(overlay.read_text())
    study["runs"][-1]["speculate"]["drafts"] = ["model", "lookup"]
    overlay.write_text(yaml.safe_dump(study | {"runs": study["runs"][-1:]}))
    said = run("ladder", "--study", "demo", overlay, "--results", tmp_path / "kept")
    assert "The ladder of engines" not in said
    for drafted in ("streaming-4+20.eager-k2", "streaming-4+20.eager-lookup-k2"):
        assert f"| {drafted} |" in without_marks(said)
        assert read_table(tmp_path / f"kept/{drafted}.parquet")[0]["judged"].notna().all()


def test_ladder_keeps_the_times_of_the_others_where_one_run_is_refused(run, overlay, tmp_path, monkeypatch):
    rungs = import_module("rungs")

    def refuse(bench):
        raise UserError("draft: no such thing")

    monkeypatch.setattr(rungs.speculation, "timer", refuse)
    results = tmp_path / "kept"
    said = run("ladder", "--study", "demo", overlay, "--results", results, "--engines", "eager")
    assert "streaming-4+20.eager-k2: failed: draft: no such thing" in said
    assert read_table(results / "streaming-4+20.eager.parquet")[1]["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "expected"),
    [(("--engines", "stock"), "--engines: "), (("--study", "nope"), "--study: no file ")],
)
def test_ladder_refuses_a_wrong_option_in_a_line(run, overlay, options, expected):
    with pytest.raises(SystemExit) as caught:
        run("ladder", "--study", "demo", overlay, *options)
    assert str(caught.value).startswith(f"error: {expected}")


CUDA_ALONE = [("new_lengths",), ("tiles",), ("shares",), ("ladder",), ("evaluator", "--device", "cuda")]
CUDA_ALONE += [("flat_memory", "--device", "cuda"), ("speculation", "--device", "cuda")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("options", CUDA_ALONE, ids=lambda options: options[0])
def test_a_missing_gpu_is_one_line(run, options):
    with pytest.raises(SystemExit) as caught:
        run(*options)
    assert caught.value.code == "error: a CUDA GPU is needed, and torch finds none"  # so that the status is 1


def test_new_lengths_prints_medians():
    line = import_module("new_lengths").line
    said = line(2048, "flash", [(1.0, 0.1, 0.01), (3.0, 0.3, 0.03), (2.0, 0.2, 0.02)])
    assert said.endswith("new length   2.000 ms  again   0.200 ms  device   0.020 ms")


def test_faults_counts_what_it_has_seen():
    faults = import_module("faults")
    campaign = faults.Campaign(checkout=None)
    fault = {"victim": "snakemake", "in job": True, "orphans": 0, "hint": True}
    campaign.seen = [fault, fault | {"hint": False}]
    none = "| {} | 0 | 0 | 0 | 0 |".format
    assert campaign.table().splitlines()[2:] == [none("job"), "| snakemake | 2 | 2 | 0 | 1 |", none("group")]


def test_faults_ends_a_study_and_says_what_differs(run, monkeypatch):
    """A campaign of no fault, on a study that is a fake; test_faults.py kills a real one."""
    faults = import_module("faults")

    class Fake:
        new = classmethod(lambda cls, folder: cls())
        folder = Path("copy")

        def snakemake(self):
            return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(faults, "Checkout", Fake)
    monkeypatch.setattr(faults, "differences", lambda one, other: [])
    assert run("faults", "--kills", 0).startswith("finished; differences: none\n| Killed |")


def test_offline_is_skipped_where_no_process_may_leave_the_network(tmp_path):
    """And names files that are there."""
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    script = BENCHMARKS / "offline.sh"
    done = subprocess.run(
        ["bash", script, tmp_path],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("skipped: ")
    for name in ("workflow/studies/demo.yaml", "requirements.txt"):
        assert name in script.read_text() and (ROOT / name).is_file()
