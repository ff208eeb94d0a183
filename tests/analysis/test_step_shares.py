"""Shares of a step where a launch does the work of several parts."""

import pandas as pd
import pytest
import synthetic
from sinkbench.analysis.claims import UNDECIDED, judge
from sinkbench.analysis.profiles import profiles, share

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
    assert verdict.verdict == UNDECIDED and "MLP + Projections, together: 54 %" in verdict.measured


def test_a_joint_part_that_is_asked_for_counts_at_both_ends(frame):
    (profile,) = profiles(frame, policy="streaming", engine="eager", budget=synthetic.FULL)
    found = share(profile, (JOINT,))
    low, high = found.bounds
    assert low <= found.value <= high and found.value == pytest.approx(54)
    assert "(MLP + Projections, together: 54 %)" in judge("attention_limited", frame).cause
