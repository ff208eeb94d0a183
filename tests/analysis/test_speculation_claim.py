"""Speculation is judged by what it gains, greedy and sampled, and not by the share of its drafts alone."""

import pytest
import synthetic
from sinkbench.analysis import claims
from sinkbench.analysis.claims import FAILS, HOLDS, NOT_MEASURED, judge
from synthetic import edited, whole

FULL = "streaming-4+508"


def drafted(
    ms: float, first: float = 0.5, last: float = 0.5, sampled_ms: float | None = None
) -> claims.Verdict:
    """The verdict on runs with drafts that take this long, where the same engine takes 3 ms without."""
    frame, own = whole(), {"method": FULL, "family": "speculation"}
    frame = edited(frame, "tpot_ms", ms, 0.01, **own)
    frame = edited(frame, "tpot_ms", sampled_ms or ms, 0.01, temperature=1, **own)
    for position, share in ((512, first), (8192, last)):
        frame = edited(frame, "acceptance_rate", share, 0.001, position=position, **own)
    return judge("speculation", frame)


def test_drafts_that_are_always_wrong_are_not_reliable():
    verdict = drafted(6.0, first=0.05, last=0.05)
    assert verdict.verdict == HOLDS
    assert f"{FULL}.eager-k2 (the fastest of 3) 0.50 [" in verdict.measured
    assert drafted(1.5).verdict == FAILS
    assert drafted(1.5, last=0.2).verdict == HOLDS


def test_speculation_is_judged_sampled_too():
    assert drafted(6.0, sampled_ms=1.5).verdict == FAILS
    assert f"{FULL}.eager-k4-t1 2.00 [" in drafted(6.0, sampled_ms=1.5).measured


def test_speculation_is_judged_against_the_fastest_engine_without_drafts():
    frame = edited(
        synthetic.measurements(ladder=True, drafts=True),
        "tpot_ms",
        1.5,
        0.01,
        method=FULL,
        family="speculation",
    )
    verdict = judge("speculation", frame)  # the fused engine takes 0.6 ms
    assert verdict.verdict == HOLDS and f"times the speed of {FULL}.fused" in verdict.measured


def test_a_lookup_is_judged_like_a_draft_model():
    fast = {"method": FULL, "drafts": "lookup"}
    verdict = judge("speculation", edited(whole(), "tpot_ms", 1.5, 0.01, **fast))
    assert verdict.verdict == FAILS
    assert f"{FULL}.eager-lookup-k4 (the fastest of 3) 2.00 [" in verdict.measured
    assert "a drafted token takes" not in verdict.cause


def test_the_cause_tells_draft_verification_and_yield_apart():
    cause = judge("speculation", whole()).cause
    assert f"a round of {FULL}.eager-k2 yields 1.80 [1.62, 1.98] tokens and takes 4.60 [" in cause
    assert "; of 8 texts that it went on with 2 became loops" in cause
    assert "by its rounds of 2 and 4 drafts, a drafted token takes 0.90 [0.79, 1.01] ms" in cause
    assert "the verification 2.80 [2.49, 3.11] ms" in cause
    assert f"if every draft stayed, {FULL}.eager-k2 had 1.96 [" in cause


@pytest.mark.parametrize(("ms", "verdict"), [(30.0, HOLDS), (1.0, NOT_MEASURED)])
def test_drafts_of_random_weights_prove_the_claim_if_even_all_of_them_gain_nothing(ms, verdict):
    frame = whole()
    random = frame["family"].eq("speculation") & ~frame["metric"].isin(["round_ms", "break_even_tokens"])
    frame = edited(frame[~random], "round_ms", ms, 0.01, family="speculation")
    judged = judge("speculation", frame)
    assert judged.verdict == verdict and "if every draft stayed" in judged.measured
