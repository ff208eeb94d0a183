"""scripts/stream.py: the run that a study recommends writes on, piece by piece, until it is told to end."""

import json
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import stream
import synthetic
import torch
from helpers import ROOT
from sinkbench import engines, policies
from sinkbench.analysis import recommend
from sinkbench.artifacts.parquet import write_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import generate, greedy
from sinkbench.errors import UserError
from sinkbench.live.choice import recommended, settings_of
from sinkbench.live.detokenizer import LONGEST, Detokenizer
from sinkbench.live.writer import REMEMBERED, Meter, Writer, prompt_ids, repeated, write
from sinkbench.model.loading import load_model
from sinkbench.study.config import read_study
from sinkbench.text.tokens import load_tokenizer
from so_far import merged

DEMO = ["config.yaml", "workflow/studies/demo.yaml"]
TEXTS = ["naïve café 中央値 🙂👩‍👩‍👧 “q” ½", "\n\n  def f():\n\treturn 'é'\n", "ﬁ ﷽ é é \U0001f1e9\U0001f1ea"]
PROMPT = "def median(numbers):\n"


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(ROOT / "resources/demo-model/tokenizer.json")


@pytest.fixture(scope="module")
def study():
    before = Path.cwd()
    os.chdir(ROOT)
    yield read_study(merged(DEMO), stream.SCHEMA, DEMO)
    os.chdir(before)


@pytest.fixture
def results(tmp_path) -> Path:
    """A finished study called demo, whose fastest run within 1 % is streaming-4+508 on eager."""
    folder = tmp_path / "demo"
    write_table(folder / "measurements.parquet", synthetic.measurements(), {})
    return folder


def small(study, budget: int = 32) -> dict:
    return settings_of(study, "streaming-4+508.eager") | {"options": {"budget": budget, "sinks": 4}}


def ended(words: list, capsys) -> str:
    """The one line of an error."""
    assert stream.main(["--prompt", PROMPT, *map(str, words)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_the_recommended_run_writes_what_its_engine_decodes(results, study, tokenizer, capsys):
    assert stream.main(["--results", str(results), "--prompt", PROMPT, "--tokens", "30"]) == 0
    out, err = capsys.readouterr()
    settings = settings_of(study, "streaming-4+508.eager")
    model = load_model(settings["model"], "cpu")
    policy = policies.build(settings["policy"], settings["options"])
    engine = engines.build(settings["engine"], model, policy, Evaluator(model, 256))
    ids = torch.tensor([prompt_ids(PROMPT, tokenizer, "<|endoftext|>")])
    assert out == tokenizer.decode(generate(engine, ids, 30, greedy)[0].tolist(), skip_special_tokens=False)
    first, *_, last = err.splitlines()
    assert first == f"[streaming-4+508.eager on cpu, {ids.shape[1]} tokens of prompt]"
    assert last.startswith("[done: 30 tokens, ") and " tokens/s, cache " in last


def test_a_prompt_is_read_as_the_texts_of_a_study_are(tokenizer):
    plain = tokenizer.encode("a\nb\nc", add_special_tokens=False).ids
    assert prompt_ids("\ufeffa\r\nb\rc", tokenizer, None) == plain
    start = tokenizer.token_to_id("<|endoftext|>")
    assert prompt_ids("a\nb\nc", tokenizer, "<|endoftext|>") == [start, *plain]
    with pytest.raises(UserError, match="start_token: '<none>' is not in the tokenizer's vocabulary"):
        prompt_ids("a", tokenizer, "<none>")


def test_a_run_that_is_named_and_sampling_with_a_seed(capsys):
    words = ["--configfile", DEMO[1], "--run", "streaming-4+508.eager", "--prompt", PROMPT, "--tokens", "20"]
    texts = []
    for seed in (1, 1, 2):
        assert stream.main([*words, "--temperature", "1", "--seed", str(seed)]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


def test_a_bounded_cache_writes_without_end_in_constant_memory(study, tokenizer):
    writer = Writer(small(study), prompt_ids(PROMPT, tokenizer, None), None, 0.0, 0)
    written, held = writer.tokens(), []
    for _ in islice(written, 120):
        held.append(writer.engine.cache_bytes())
    assert set(held) == {held[0]}
    kept = {name: value for name, value in vars(writer).items() if isinstance(value, list | dict)}
    assert kept == {}


def test_the_end_of_an_interrupted_text(study, tokenizer, monkeypatch):
    """Ctrl-C: what was written stays, one line has the totals, and no error is raised."""
    writer = Writer(small(study), prompt_ids(PROMPT, tokenizer, None), None, 0.0, 0)
    whole = list(islice(writer.tokens(), 5))

    def interrupted():
        yield from whole
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "tokens", interrupted)
    pieces, said = [], []
    assert write(writer, tokenizer, pieces.append, said.append, 1e9) is False
    assert "".join(pieces) == tokenizer.decode(whole, skip_special_tokens=False)
    assert len(said) == 1
    assert said[0].startswith("interrupted: 5 tokens, ")


@pytest.mark.slow
def test_a_signal_ends_the_script():
    words = ["--configfile", DEMO[1], "--run", "streaming-4+508.eager", "--prompt", PROMPT]
    command = [sys.executable, "scripts/stream.py", *words]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout.read(3)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == stream.INTERRUPTED
    assert b"Traceback" not in err
    assert err.decode().splitlines()[-1].startswith("[interrupted: ")


def test_status_lines_come_by_the_clock(study, tokenizer, monkeypatch):
    """A clock of one second a look: with three seconds between lines, not every token has one."""
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))
    writer = Writer(small(study), prompt_ids(PROMPT, tokenizer, None), 12, 0.0, 0)
    said = []
    meter = Meter(writer, 3.0, said.append)
    assert len(list(map(meter, writer.tokens()))) == 12
    assert 1 < len(said) < 12
    assert all("tokens/s, cache " in line for line in said)


@pytest.mark.parametrize("text", TEXTS)
def test_no_piece_ends_inside_a_character(tokenizer, text):
    ids = tokenizer.encode(text * 3, add_special_tokens=False).ids
    pieces = list(Detokenizer(tokenizer).pieces(ids))
    assert "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=False) == text * 3
    assert not any("\ufffd" in piece for piece in pieces)
    assert "" in pieces[:-1]  # some id is no whole character: the text is worth trying


def test_bytes_that_are_no_character_are_shown_and_forgotten(tokenizer):
    """An id of a lone continuation byte, for ever."""
    table = json.loads(tokenizer.to_str())["model"]["vocab"]
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.add(table["Ģ"]) for _ in range(100)]  # byte 0x80 in byte-level BPE
    assert sum(map(len, pieces)) > 80
    assert len(detokenizer.waiting) < LONGEST


def test_repetition_is_found_and_nothing_else():
    assert repeated([1, 2, 3] * 64) == 3
    assert repeated([9, *[5] * (REMEMBERED - 1)]) == 1
    assert repeated(list(range(50)) * 3) == 50
    assert repeated(list(range(REMEMBERED))) is None
    assert repeated([1, 2, 3] * 8) is None  # too little to say
    assert repeated([*[1, 2, 3] * 63, 4, 4, 4]) is None


def test_the_recommended_run_is_that_of_the_page_of_findings():
    frame = synthetic.measurements(refresh=True, quantized=True, ladder=True)
    rows = recommend.by_target(frame, "stdlib").to_dict("records")
    for limit, shown in zip(recommend.TARGETS_PERCENT, rows, strict=False):
        row = recommend.fastest_within(frame, "stdlib", limit)
        assert (row["engine"], row["value"]) == (shown["Engine"], shown["TPOT [ms]"].value)
    timed = synthetic.measurements(quality=False, ladder=True)
    assert (
        recommend.fastest_within(timed, None, 1.0)["value"] == recommend.by_time(timed)["TPOT [ms]"][0].value
    )


def test_a_study_that_recommends_nothing(results):
    with pytest.raises(UserError, match="within -50 %; allow more"):
        recommended(results, -50.0)
    frame = synthetic.measurements()
    write_table(results / "measurements.parquet", frame[frame["metric"] != "tpot_ms"], {})
    with pytest.raises(UserError, match="recommends no run"):
        recommended(results, 1.0)


def test_what_is_missing_is_one_line(results, tmp_path, capsys):
    (tmp_path / "real").mkdir()
    (tmp_path / "own").mkdir()
    bad = tmp_path / "latin.txt"
    bad.write_bytes(b"caf\xe9")
    by_name = ["--configfile", DEMO[1], "--run"]
    for words, said in [
        ([], "--results: missing"),
        (["--results", tmp_path / "nothing"], "nothing: no such folder of results"),
        (["--results", tmp_path], f"no workflow/studies/{tmp_path.name}.yaml; name the files"),
        (["--results", tmp_path / "own"], "no measurements.parquet there; the study is not finished"),
        ([*by_name, "streaming"], "--run: a run of study demo: 'streaming' is not one of"),
        ([*by_name, "dense.hf"], "--tokens: missing"),
        ([*by_name, "dense.hf", "--tokens", "0"], "--tokens: 0 is not"),
        ([*by_name, "dense.hf", "--temperature", "-1"], "--temperature: -1 is not"),
        (["--configfile", "workflow/studies/latency.yaml", "--run", "dense.graph"], "random weights"),
        (["--run", "streaming-4+2044.fused"], "run `snakemake --cores 1 fetch`"),
    ]:
        assert said in ended(words, capsys)
    for words, said in [(["--prompt", " \n"], "the prompt is empty"), (["--file", str(bad)], "not UTF-8")]:
        assert stream.main([*by_name, "streaming-4+508.eager", *words]) == 1
        assert said in capsys.readouterr().err


def test_ids_that_the_model_does_not_have(study):
    with pytest.raises(UserError, match="'prompt' has token id 99999, but the model's vocabulary ends at"):
        Writer(small(study), [5, 99_999], 3, 0.0, 0)
