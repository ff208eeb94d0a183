"""The estimate counts what is to be measured, and what each policy reads for it."""

from types import SimpleNamespace

import pandas as pd
import pytest
from sinkbench.study import cost as module
from sinkbench.study.cost import Cost, describe_cost
from sinkbench.study.run_table import Method

BOOKS = {"name": "books", "kind": "dataset", "source": "folder", "column": "text", "files": "*.parquet"}


@pytest.fixture
def books(tmp_path):
    """Two files of two books of 40,000 bytes each, beside a column that is no text."""
    for name in "ab":
        rows = pd.DataFrame({"number": [1, 2], "text": [f"{name}{row}" * 20_000 for row in range(2)]})
        rows.to_parquet(tmp_path / f"{name}.parquet", compression=None)
    return BOOKS | {"path": str(tmp_path)}


def method(policy: str, **options) -> Method:
    return Method("baseline", policy, options, "none", None, None)


def forwarded(policy: str, corpus: dict, **options) -> float:
    """Tokens that scoring takes, from the estimate's seconds."""
    cost = module._scoring(method(policy, **options), *module._documents(corpus))
    return (cost.seconds - module.JOB_S) * module.EVALUATED_TOKENS_PER_S


@pytest.mark.parametrize(("change", "count"), [({}, 4), ({"max_documents": 3}, 3), ({"join_rows": True}, 1)])
def test_documents_and_their_length_come_from_the_files(books, change, count):
    found, tokens = module._documents(books | change)
    assert found == count
    assert tokens == pytest.approx(10_000 * (4 if "join_rows" in change else 1), rel=0.01)


def test_a_cap_on_tokens_counts(books):
    assert module._documents(books | {"max_tokens": 500}) == (4, 500)


def test_text_that_is_not_here_is_said_and_not_counted(books, monkeypatch):
    monkeypatch.setattr(module, "describe_memory", lambda *_: "memory")
    study = SimpleNamespace(corpora={"books": books | {"files": "none*"}}, methods={}, runs={})
    line, memory = describe_cost(study, [("streaming", "books")], []).splitlines()
    assert memory == "memory"
    assert "1 perplexities" in line and "about 0.0 GPU hours" in line
    assert line.endswith("beside the texts of books, which are not here yet")


def test_each_policy_costs_what_it_reads(books):
    streaming = forwarded("streaming", books, budget=256, sinks=4)
    assert streaming == pytest.approx(40_000, rel=0.01)
    recompute = forwarded("recompute", books, budget=256, sinks=4, samples=64, first_position=256)
    assert recompute == pytest.approx(4 * 64 * 256)
    launched = (
        streaming / 32 * module.STEP_S * module.EVALUATED_TOKENS_PER_S
    )  # a pass from refresh to refresh
    refreshed = {"budget": 256, "sinks": 4, "refresh_every": 32, "lookback": 320}
    assert forwarded("repeat_lookup", books, selected_tokens=8, **refreshed) == pytest.approx(
        streaming + launched
    )
    assert forwarded("reprefill", books, **refreshed) == pytest.approx(11 * streaming + launched)


def test_costs_add_up():
    assert Cost(1.0, 2.0) + Cost(3.0, 4.0) == Cost(4.0, 6.0)


@pytest.mark.parametrize(
    ("method", "passes"),
    [
        (method("streaming", budget=256, sinks=4), 0),
        (method("reprefill", budget=256, sinks=4, refresh_every=35, lookback=320), 7_000 / 35),
    ],
)
def test_a_timing_takes_its_rounds_at_all_its_points(method, passes):
    speed = {"points": [1_000, 6_000], "warmup": 10, "steps": 30, "repetitions": 3}
    study = SimpleNamespace(
        timing_settings=lambda run: {"speed": speed},
        runs={"r": SimpleNamespace(engine="eager", method=method)},
    )
    rounds = 4 * (7_000 / module.EVALUATED_TOKENS_PER_S + (80 + passes) * module.STEP_S)
    assert module._timing(study, "r").seconds == pytest.approx(module.JOB_S + rounds)
