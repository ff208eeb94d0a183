"""Shares of a step: launches that do the work of several parts, and waiting, which belongs to launches."""

import pandas as pd
import pytest
import synthetic
from sinkbench.analysis import select
from sinkbench.analysis.claims import FAILS, HOLDS, NOT_MEASURED, UNDECIDED, judge
from sinkbench.analysis.profiles import profiles, share
from sinkbench.analysis.select import matching

JOINT = "mlp+projections"


@pytest.fixture
def frame() -> pd.DataFrame:
    """A study whose eager steps pass more than half of their time in a launch of two parts."""
    frame = synthetic.measurements()
    chosen = (
        (frame["metric"] == "part_ms") & (frame["engine"] == "eager") & (frame["budget"] == synthetic.FULL)
    )
    frame.loc[chosen & (frame["part"] == "idle"), "part"] = JOINT
    return frame


def test_a_claim_counts_joint_parts_at_its_upper_end_only(frame):
    verdict = judge("bottleneck", frame)
    assert verdict.verdict == UNDECIDED and "MLP + Projections, together: 44 %" in verdict.measured


def test_a_joint_part_that_is_asked_for_counts_at_both_ends(frame):
    (profile,) = profiles(frame, policy="streaming", engine="eager", budget=synthetic.FULL)
    found = share(profile, (JOINT,))
    low, high = found.bounds
    assert low <= found.value <= high and found.value == pytest.approx(44)


def with_steps(frame: pd.DataFrame, parts: dict[str, float], **steps: float) -> pd.DataFrame:
    """The study with these parts and steps, in ms, of streaming at its full budget on `eager`."""
    run = {"policy": "streaming", "engine": "eager", "budget": synthetic.FULL}
    for part, value in parts.items():
        frame = synthetic.edited(frame, "part_ms", value, part=part, **run)
    for metric, value in steps.items():
        frame = synthetic.edited(frame, metric, value, 0.02 * value, **run)
    return frame


# An eager step of Pythia-2.8b: 76 % of it waits, most of that for the many launches of attention.
BUSY = {"mlp": 1.2, "attention": 1.76, "projections": 0.6, "norms": 0.5, "head": 0.06, "other": 0.0}
STEP, STUBBED = 17.17, 6.18


@pytest.fixture
def waiting(frame) -> pd.DataFrame:
    idle = {"attention_idle": STEP - STUBBED - BUSY["attention"]}
    idle["idle"] = STEP - sum(BUSY.values()) - idle["attention_idle"]
    steps = {"step_ms": STEP, "step_without_attention_ms": STUBBED}
    return with_steps(synthetic.measurements(), BUSY | idle, **steps)


def test_attention_is_charged_with_the_waiting_that_goes_with_it(waiting):
    verdict = judge("attention_limited", waiting)
    assert verdict.verdict == FAILS and "2.78 times as fast" in verdict.measured
    assert "take 64 % [64, 64] of 17.17 ms (Attention: 10 %, Idle for attention: 54 %)" in verdict.cause


def test_waiting_for_attention_is_no_framework_overhead(waiting):
    verdict = judge("bottleneck", waiting)
    assert verdict.verdict == FAILS and "32 % [32, 32] of 17.17 ms" in verdict.measured
    assert "54 % of the step for attention" in verdict.cause


def test_what_shares_launches_with_attention_is_not_separated(waiting):
    """No share, and no interval from nothing to everything, where nobody can tell."""
    run = {"policy": "streaming", "engine": "eager", "budget": synthetic.FULL}
    fused = matching(waiting, **run)
    fused = fused[fused["metric"].isin(select.PROFILE) & (fused["part"] != "attention_idle")]
    fused = fused[fused["metric"] != "step_without_attention_ms"].assign(engine="fused")
    fused["part"] = fused["part"].replace({"attention": "projections+attention+mlp"})
    both = pd.concat((waiting, fused), ignore_index=True)
    for claim in ("attention_limited", "bottleneck"):
        verdict = judge(claim, both)
        assert "cannot be separated" in verdict.measured and "[0, " not in verdict.measured


def test_every_launch_bound_engine_stands_beside_the_eager_one(waiting):
    run = {"policy": "streaming", "engine": "eager", "budget": synthetic.FULL}
    paper = matching(waiting, **run).assign(engine="paper")
    slower = with_steps(pd.concat((waiting, paper), ignore_index=True), {}, step_without_attention_ms=16.0)
    verdict = judge("attention_limited", slower)
    assert verdict.verdict == HOLDS  # the eager one decides
    assert ".paper 2.78 times as fast" in verdict.measured


def test_without_a_stubbed_step_nothing_is_said_of_attention(waiting):
    old = waiting[waiting["metric"] != "step_without_attention_ms"]
    for claim in ("attention_limited", "bottleneck"):
        assert judge(claim, old).verdict == NOT_MEASURED
