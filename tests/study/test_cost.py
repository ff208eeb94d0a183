"""The estimate counts what is to be measured, what a policy reads for it, and what a card makes of that."""

from collections.abc import Iterator
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from helpers import ROOT
from sinkbench.results.datasheet import CARDS
from sinkbench.study import cost as module
from sinkbench.study.cost import SHOWN, Work, describe_cost, documents, recalling, scoring, timing
from sinkbench.study.run_table import Method, Run
from sinkbench.study.study import Study

BOOKS = {"name": "books", "kind": "dataset", "source": "folder", "column": "text", "files": "*.parquet"}
A800, H100, H200 = (CARDS[name] for name in SHOWN.values())
# Documents and tokens of each, as they are known: PG-19's test split, WikiText-2's, five modules of Python.
TEXTS = {"pg19": (100, 95_000), "pg19-short": (5, 32_768), "wikitext": (1, 324_000), "stdlib": (5, 36_400)}
SPEED = {"points": [1_000, 6_000], "warmup": 10, "steps": 30, "repetitions": 3}


@pytest.fixture
def books(tmp_path):
    """Two files of two books of 40,000 bytes each, beside a column that is no text."""
    for name in "ab":
        rows = pd.DataFrame({"number": [1, 2], "text": [f"{name}{row}" * 20_000 for row in range(2)]})
        rows.to_parquet(tmp_path / f"{name}.parquet", compression=None)
    return BOOKS | {"path": str(tmp_path)}


@pytest.fixture
def _no_card(monkeypatch):
    monkeypatch.setattr(module, "try_run", lambda *_: None)
    monkeypatch.setattr(module, "describe_memory", lambda *_: "memory")


def method(policy: str, **options) -> Method:
    return Method("baseline", policy, options, "none", None, None)


def timed(engine: str, policy: str, points=(2048,), batch: int = 1, **options) -> Work:
    run = Run("engine", method(policy, **options), engine, batch, (), None, True)
    settings = {"speed": SPEED | {"points": list(points)}}
    return timing(SimpleNamespace(timing_settings=lambda run: settings, runs={"r": run}), "r")


@pytest.mark.parametrize(
    ("change", "count"), [({}, 4), ({"max_documents": 3}, 3), ({"rows": [1, 3]}, 2), ({"join_rows": True}, 1)]
)
def test_documents_and_their_length_come_from_the_files(books, change, count):
    found, tokens = documents(books | change)
    assert found == count
    assert tokens == pytest.approx(10_000 * (4 if "join_rows" in change else 1), rel=0.01)


def test_a_cap_on_tokens_counts(books):
    assert documents(books | {"max_tokens": 500}) == (4, 500)


def test_text_that_is_not_here_is_said_and_not_counted(books, _no_card):
    study = SimpleNamespace(corpora={"books": books | {"files": "none*"}}, methods={}, runs={})
    line, memory = describe_cost(study, [("streaming", "books")], []).splitlines()
    assert memory == "memory"
    assert "1 perplexities" in line
    assert "about 0.0 hours on an A800, 0.0 on an H100, 0.0 on an H200" in line
    assert line.endswith("beside the texts of books, which are not here yet")


@pytest.mark.parametrize(
    ("here", "said"), [("NVIDIA L40S", ", 0.0 on an NVIDIA L40S,"), ("NVIDIA X", "H200,")]
)
def test_the_card_of_this_machine_is_said_if_its_datasheet_is_known(monkeypatch, _no_card, here, said):
    monkeypatch.setattr(module, "try_run", lambda *_: here)
    assert said in module._hours(Work()) + ","


def test_a_plan_that_measures_nothing_says_so():
    assert describe_cost(SimpleNamespace(), [], []) == "nothing is to be measured"


def test_each_policy_costs_what_it_reads(books):
    text = documents(books)
    streaming = scoring(method("streaming", budget=256, sinks=4), *text)
    assert streaming.tokens == pytest.approx(40_000, rel=0.01) and streaming.host_s == module.JOB_S
    recompute = method("recompute", budget=256, sinks=4, samples=64, first_position=256)
    assert scoring(recompute, *text).tokens == pytest.approx(4 * 64 * 256)
    launched = streaming.tokens / 32 * module.STEP_S + module.JOB_S  # a pass from refresh to refresh
    refreshed = {"budget": 256, "sinks": 4, "refresh_every": 32, "lookback": 320}
    looked_up = scoring(method("repeat_lookup", selected_tokens=8, **refreshed), *text)
    assert looked_up.tokens == pytest.approx(streaming.tokens)
    assert looked_up.host_s == pytest.approx(launched)
    again = scoring(method("reprefill", **refreshed), *text)
    assert again.tokens == pytest.approx(11 * streaming.tokens) and again.host_s == pytest.approx(launched)


def test_recall_costs_two_texts_a_passage_and_distance():
    """A short text fills a chunk, a refreshed cache stops at each refresh, and no score costs nothing."""
    wanted = {"distances": [64, 300], "passage_tokens": 32, "passages": 5}
    methods = {
        "streaming": method("streaming", budget=64, sinks=4),
        "dense": method("dense", max_tokens=200),
        "select": method(
            "select", budget=64, sinks=4, refresh_every=8, lookback=100, selected_tokens=8, query_window=1
        ),
    }
    settings = {"recall": wanted, "chunk_tokens": 256}
    study = SimpleNamespace(methods=methods, recall_settings=lambda name: settings)
    assert recalling(study, "streaming") == Work(tokens=2 * 5 * (256 + 512), host_s=module.JOB_S)
    assert recalling(study, "dense") == Work(tokens=2 * 5 * 256, host_s=module.JOB_S)
    passes = 2 * 5 * (128 + 364) / 8
    assert recalling(study, "select").host_s == pytest.approx(module.JOB_S + passes * module.STEP_S)


def test_work_adds_up():
    assert Work(1.0, 2.0, 3.0, 4.0) + Work(4.0, 3.0, 2.0, 1.0) * 2 == Work(9.0, 8.0, 7.0, 6.0)


def test_each_kind_of_work_goes_with_its_own_number_of_the_card():
    """Scoring by the matrix rate, a step of one launch by the bandwidth, and the host is the host."""
    assert Work(tokens=70_000).seconds(H200) == Work(tokens=70_000).seconds(H100) == 1.0  # both were measured
    assert Work(tokens=70_000).seconds(A800) == pytest.approx(989 / 312)
    read = Work(read_bytes=1e12)
    assert read.seconds(A800) / read.seconds(H200) == pytest.approx(4.8 / 2.039)
    assert Work(host_s=5).seconds(A800) == Work(host_s=5).seconds(H200) == 5


@pytest.mark.parametrize(
    ("engine", "policy", "options", "card", "ms"),
    [  # measured: docs/results.md, docs/reference/latency
        ("graph", "streaming", {"budget": 2048, "sinks": 4}, H200, 2.26),
        ("fused", "streaming", {"budget": 2048, "sinks": 4}, H200, 1.55),
        ("fused", "dense", {"max_tokens": 65536}, H200, 1.55 * 2.55),
        ("hf_static", "dense", {"max_tokens": 65536}, H100, 6.7),
        (
            "fresh",
            "recompute",
            {"budget": 2048, "sinks": 0, "samples": 1, "first_position": 2048},
            H200,
            26.6,
        ),
    ],
)
def test_steps_are_near_those_that_were_measured(engine, policy, options, card, ms):
    """Within a factor of two, and never far below."""
    point = 32_768 if policy == "dense" else 2048
    work = timed(engine, policy, [point], **options)
    rounds = 4
    once = module.JOB_S + (module.COMPILATION_S if engine == "hf_static" else 0)
    seconds = work.seconds(card) - once - rounds * Work(tokens=point).seconds(card)
    assert 0.9 < 1e3 * seconds / (rounds * 40) / ms < 2


def test_a_step_of_many_launches_waits_for_the_host():
    work = timed("eager", "streaming", [1_000, 6_000], budget=256, sinks=4)
    assert work.host_s == pytest.approx(module.JOB_S + 4 * 2 * 40 * module.STEP_S) and not work.read_bytes
    assert work.tokens == 4 * 7_000
    compiled = timed("compiled", "streaming", budget=256, sinks=4)
    assert compiled.host_s == module.JOB_S + module.COMPILATION_S + 4 * 40 * module.STEP_S


def test_a_refreshed_prompt_is_read_from_refresh_to_refresh():
    work = timed("fused", "reprefill", [7_000], budget=256, sinks=4, refresh_every=35, lookback=320)
    assert work.host_s == pytest.approx(module.JOB_S + 4 * 200 * module.STEP_S)


def whole() -> Iterator[tuple[str, Work]]:
    """(what, work) of all jobs of config.yaml."""
    study = Study(yaml.safe_load((ROOT / "config.yaml").read_text()))
    for name, corpus in study.scored():
        yield study.methods[name].family, scoring(study.scored_method(name, corpus), *TEXTS[corpus])
    for run in [*study.runs, *study.profiled_runs()]:
        yield study.runs[run].family, timing(study, run)
    for name in study.recalling_methods():
        yield study.methods[name].family, recalling(study, name)


def test_the_whole_study_takes_at_most_twelve_hours_of_an_a800():
    total = sum((work for _, work in whole()), Work())
    assert total.seconds(H200) <= total.seconds(H100) < total.seconds(A800) <= 12 * 3600
    main = sum((work for family, work in whole() if family in ("baseline", "streaming")), Work())
    assert main.seconds(A800) <= 3 * 3600  # which comes first
