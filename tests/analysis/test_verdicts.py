"""How a verdict follows from its findings: from intervals alone, undisturbed, and of all or of one."""

from types import SimpleNamespace

import pytest
import synthetic
from sinkbench import registry
from sinkbench.analysis import claims
from sinkbench.analysis.claims import (
    BUSY,
    FAILS,
    HOLDS,
    NO_INTERVAL,
    NOT_MEASURED,
    NOT_YET,
    ON_A_GPU,
    UNDECIDED,
    UNTESTABLE,
    Finding,
    at_least,
    at_most,
    best,
    judge,
    worst,
)
from sinkbench.analysis.estimate import DAGGER, Estimate, exact, percent_change, product, ratio
from sinkbench.report.pages import findings as page
from synthetic import edited, whole

FULL = "streaming-4+508"


@pytest.mark.parametrize("decide", [at_most, at_least])
def test_a_number_without_an_interval_decides_nothing(decide):
    for value in (0.1, 10.0):
        assert decide(Estimate(value), 1.0) == decide(Estimate(value, low=value), 1.0) == NO_INTERVAL
    assert {decide(Estimate(value, value, value), 1.0) for value in (0.1, 10.0)} == {HOLDS, FAILS}


@pytest.mark.parametrize("decide", [at_most, at_least])
def test_a_disturbed_number_decides_nothing(decide):
    for value in (0.1, 10.0):
        assert decide(Estimate(value, value, value, mark=DAGGER), 1.0) == BUSY


def test_what_is_made_of_a_number_without_an_interval_has_none():
    known, bare = Estimate(2.0, 1.9, 2.1), Estimate(2.0)
    for made in (ratio(known, bare), ratio(bare, known), product(known, bare), product(bare, known)):
        assert not made.interval and not percent_change(made).interval
    assert tuple(percent_change(ratio(known, exact(2.0))).bounds) == pytest.approx((-5, 5))


def test_a_claim_decided_by_a_number_without_an_interval_is_undecided():
    frame = edited(synthetic.measurements(), "tpot_ms", 3.0, 0.01)
    assert judge("flatness", frame).verdict == HOLDS
    frame.loc[frame["metric"] == "tpot_ms", ["low", "high"]] = None
    assert judge("flatness", frame).verdict == NO_INTERVAL


def test_a_disturbed_baseline_decides_nothing():
    frame = edited(synthetic.measurements(), "speedup", 3.0, 0.01, against="dense.hf")
    assert judge("speedup", frame).verdict == HOLDS
    frame.loc[frame["against"] == "dense.hf", "status"] = synthetic.BUSY
    assert judge("speedup", frame).verdict == BUSY


def test_all_must_hold_or_one_suffices():
    undecided = (UNDECIDED, NO_INTERVAL, BUSY, UNTESTABLE, NOT_MEASURED, ON_A_GPU)
    assert worst([HOLDS, FAILS, UNDECIDED]) == FAILS and best([HOLDS, FAILS, UNDECIDED]) == HOLDS
    for verdict in undecided:
        assert worst([HOLDS, verdict]) == verdict == best([FAILS, verdict])
    assert worst([HOLDS, HOLDS]) == HOLDS and best([FAILS, FAILS]) == FAILS


def verdict_of(monkeypatch, *verdicts, **constants) -> claims.Verdict:
    """The verdict on a claim with findings of these verdicts."""
    found = [Finding(f"case {number}", verdict) for number, verdict in enumerate(verdicts)]
    claim = SimpleNamespace(CLAIM="c", THRESHOLD="t", findings=lambda frame: found, **constants)
    monkeypatch.setattr(registry, "load", lambda folder, name: claim)
    return judge("any", synthetic.measurements())


def test_a_claim_says_whether_one_case_proves_it(monkeypatch):
    assert verdict_of(monkeypatch, HOLDS, FAILS).verdict == FAILS
    assert verdict_of(monkeypatch, HOLDS, FAILS, COMBINE=best).verdict == HOLDS


def test_a_verdict_that_one_of_several_makes_says_how_many(monkeypatch):
    refuted = verdict_of(monkeypatch, HOLDS, FAILS, HOLDS)
    assert refuted.conclusion == f"{FAILS} (1 of 3 comparisons)"
    proved = verdict_of(monkeypatch, FAILS, HOLDS, HOLDS, COMBINE=best)
    assert proved.conclusion == f"{HOLDS} (2 of 3 comparisons)"
    assert verdict_of(monkeypatch, HOLDS, HOLDS).conclusion == HOLDS
    assert verdict_of(monkeypatch, FAILS).conclusion == FAILS
    assert verdict_of(monkeypatch, FAILS, FAILS, COMBINE=best).conclusion == FAILS


def test_what_only_stands_beside_decides_nothing(monkeypatch):
    shown = verdict_of(monkeypatch, HOLDS, "", "")
    assert shown.conclusion == HOLDS and "case 2" in shown.measured
    assert verdict_of(monkeypatch, "", "").verdict == NOT_MEASURED


def test_what_a_finding_lacks_may_not_be_measured_yet(monkeypatch):
    assert verdict_of(monkeypatch, HOLDS, NOT_MEASURED).verdict == NOT_MEASURED
    monkeypatch.setattr(claims, "is_partial", lambda frame: True)
    assert verdict_of(monkeypatch, HOLDS, NOT_MEASURED).verdict == NOT_YET
    assert verdict_of(monkeypatch, FAILS, NOT_MEASURED).verdict == FAILS


def test_table_and_page_say_how_many_comparisons_made_a_verdict():
    frame = edited(whole(), "perplexity_change", 9.0, 0.1, method=FULL, corpus="prose")
    table = registry.load("report/tables", "verdict").build(frame, {"claims": ["perplexity"]})
    assert table["Verdict"].tolist() == ["refuted (1 of 2 comparisons)"]
    assert "Refuted (1 of 2 comparisons)" in page._article(judge("perplexity", frame))
