"""The page of findings: what it says comes from the measurements, and it is one safe, valid file."""

import re
from html import unescape
from itertools import pairwise

import numpy as np
import pytest
import synthetic
from helpers import Checked
from sinkbench import registry
from sinkbench.analysis import claims, recommend, select
from sinkbench.analysis.claims import FAILS, HOLDS, NOT_MEASURED, UNTESTABLE, Verdict
from sinkbench.report.pages import findings, summary
from synthetic import edited

FULL = "streaming-4+508"
FACTS = {
    "study": "demo",
    "model": "<m>",
    "corpora": {"stdlib": "stdlib"},
    "claims": registry.available("analysis/claims"),
}
FACTS |= {"confidence": "95", "block_tokens": 256, "repetitions": 5, "steps": 32}


def whole(**options):
    return synthetic.measurements(**{"refresh": True, "quantized": True, "ladder": True, **options})


def page(frame=None, **facts) -> str:
    return findings.page(whole() if frame is None else frame, FACTS | facts)


def test_the_page_is_one_valid_file_without_references():
    text = page(model="<script>alert(1)</script>")
    checked = Checked(text)
    names = {name for name, _ in checked.attributes}
    assert not names & {"src", "href", "srcset", "data"} and "url(" not in text and "@import" not in text
    assert "<script>alert" not in text and "alert(1)" in text
    assert ("name", "viewport") in checked.attributes


def test_every_claim_of_the_brief_is_on_the_page():
    said = " ".join(Checked(page()).texts["h3"])
    for word in registry.available("analysis/claims"):
        assert __import__(f"sinkbench.analysis.claims.{word}", fromlist=["CLAIM"]).CLAIM in said


def test_the_page_follows_the_measurements():
    frame = whole()
    where = {"metric": "perplexity_change", "method": FULL}
    good, bad = (
        page(edited(frame, value=value, width=0.01, **where), claims=["perplexity"]) for value in (1.23, 6.78)
    )
    assert "+1.23 %" in good and HOLDS.capitalize() in good
    assert "+6.78 %" in bad and "+1.23 %" not in bad and FAILS.capitalize() in bad


@pytest.mark.parametrize("word", registry.available("analysis/claims"))
def test_no_number_of_a_sentence_is_typed(word):
    """What was typed would be in the sentences about any measurements."""
    frame, draw = whole(), np.random.default_rng(0)
    found = []
    for _ in range(4):
        factors = draw.uniform(0.5, 2.0, len(frame))
        drawn = frame.assign(**{name: frame[name] * factors for name in ("value", "low", "high")})
        found.append(set(fractions(claims.judge(word, drawn))))
    assert not set.intersection(*found)


def fractions(verdict: Verdict) -> list[str]:
    return re.findall(r"\d+\.\d\d+", f"{verdict.measured} {verdict.cause}")


def test_a_claim_file_that_says_only_what_it_must_is_shown(monkeypatch):
    bare = Verdict("Pigs fly", "at all", "not one of 7", FAILS)
    monkeypatch.setattr(findings, "judge", lambda word, frame: bare)
    text = page(claims=["pigs"])
    assert "Pigs fly" in text and "not one of 7" in text and claims.OTHER_TECHNIQUES in text


def test_a_claim_without_a_number_gives_no_cause():
    text = page(synthetic.measurements(quality=False), claims=["perplexity", "int4_blocked"])
    assert NOT_MEASURED.capitalize() in text and findings.NO_CAUSE not in text


def test_what_this_machine_cannot_test_is_said_with_its_reason():
    frame = whole(failed={f"{FULL}.eager": "unavailable: no memory"})
    frame = frame[frame["engine"].isna() | frame["engine"].eq("eager")]
    text = page(frame, claims=["decode_under_20ms"])
    assert UNTESTABLE.capitalize() in text and "no memory" in text


def fastest_within(limit: float, frame) -> dict:
    rows = recommend.by_target(frame, "stdlib").set_index("Perplexity")
    return rows.loc[f"within {limit:g} %"].to_dict()


@pytest.mark.parametrize("limit", recommend.TARGETS_PERCENT)
def test_a_target_is_met_by_the_fastest_run_within_it(limit):
    frame = whole()
    changes = recommend.perplexity_changes(frame, "stdlib")
    chosen = fastest_within(limit, frame)
    times = select.at_common_point(select.pick(frame, "tpot_ms"))
    (own,) = times[times["value"] == chosen["TPOT [ms]"].value].to_dict("records")
    assert changes[own["method"]].value <= limit
    assert (own["engine"], own["budget"]) == (chosen["Engine"], chosen["Budget [tokens]"].value)
    for row in times[times["budget"].notna()].to_dict("records"):
        if row["value"] < chosen["TPOT [ms]"].value:
            assert row["method"] not in changes or changes[row["method"]].value > limit


def test_a_target_that_no_run_meets_has_a_remark_and_no_run():
    """The two methods that stay within it were not timed, and all others lose much."""
    frame = edited(whole(), "perplexity_change", 50.0, 1.0)
    frame = edited(frame, "perplexity_change", 0.1, 0.01, method=FULL)
    near = frame["method"].isin([FULL, "recompute-4+508"]) & frame["metric"].eq("tpot_ms")
    rows = recommend.by_target(frame[~near], "stdlib")
    assert rows["Policy"].tolist()[:-1] == [""] * 3 and rows["Policy"].iloc[-1]
    assert set(rows["Remark"].iloc[:-1]) == {"no timed run of this study"}


def test_targets_start_at_streaming_which_scores_every_position():
    frame = whole()
    assert recommend.baseline(frame, "stdlib") == FULL
    assert recommend.perplexity_changes(frame, "stdlib")[FULL].value == 0
    with pytest.raises(select.NotMeasured):
        recommend.baseline(frame, "a text that nobody scored")


def test_targets_that_one_run_meets_share_a_row():
    frame = edited(whole(), "perplexity_change", 0.1, 0.01)
    rows = findings._without_repeats(recommend.by_target(frame, "stdlib"))
    assert rows["Perplexity"].tolist() == ["within 1 % or wider", "any"]
    apart = findings._without_repeats(recommend.by_target(whole(), "stdlib"))
    combinations = apart[list(findings.RUN)].to_dict("records")
    assert len(combinations) > 1 and all(one != other for one, other in pairwise(combinations))


def test_a_verdict_keeps_its_capitals():
    assert "Timed on a GPU only" in page(whole(cpu=True), claims=["compile_gain"])


def test_an_interval_beyond_the_target_is_remarked():
    frame = edited(whole(), "perplexity_change", 0.5, 0.9, quantization="int8_mlp")
    assert "interval" in fastest_within(1, frame)["Remark"]


def far(frame, name: str, metric: str, value: float):
    """The measurements with another gap of a run."""
    method, engine = name.rsplit(".", 1)
    return edited(frame, metric, value, method=method, engine=engine)


@pytest.mark.parametrize("float32", [True, False])
def test_an_engine_far_from_the_evaluator_is_never_recommended(float32):
    """By its gap to float32, and where there is none by that to its own dtype."""
    frame = whole() if float32 else whole()[lambda rows: rows["metric"] != "nll_gap_float32"]
    metric = "nll_gap_float32" if float32 else "nll_gap"
    before = fastest_within(10, frame)
    first = "streaming-4+508-int8_mlp.fused"
    assert (before["Engine"], before["Weights"]) == ("fused", "int8_mlp")
    wrong = far(frame, first, metric, 5.0)
    after = fastest_within(10, wrong)
    assert (after["Engine"], after["Weights"]) != ("fused", "int8_mlp") and after["Policy"]
    assert after["TPOT [ms]"].value > before["TPOT [ms]"].value
    assert list(recommend.inexact(wrong)) == [first]
    said = unescape(page(wrong))
    assert f"no choice here: {first} (5.0e+00 nats" in said and recommend.GAP_NOTE in said
    assert dict(summary.sentences(wrong))["Choice"] != dict(summary.sentences(frame))["Choice"]
    assert fastest_within(10, far(frame, first, metric, recommend.MOST_GAP))["Weights"] == "int8_mlp"


def test_an_engine_without_a_score_is_never_recommended():
    frame = whole()
    gaps = frame["metric"].isin(["nll_gap", "nll_gap_float32"]) & frame["quantization"].eq("int8_mlp")
    assert fastest_within(10, frame[~gaps])["Weights"] != "int8_mlp"


def test_a_study_of_times_recommends_no_wrong_engine():
    frame = synthetic.measurements(quality=False, ladder=True)
    wrong = edited(frame, "nll_gap_float32", 5.0)
    assert recommend.by_time(wrong).empty and "no choice here" in page(wrong)
    assert "Choice" not in dict(summary.sentences(wrong)) and "Choice" in dict(summary.sentences(frame))


def test_the_first_page_keeps_the_remark_on_an_interval_and_says_which_engines_are_meant():
    frame = edited(whole(), "perplexity_change", 0.5, 0.9, quantization="int8_mlp")
    (said,) = dict(summary.sentences(frame))["Choice"]
    assert said.endswith(f"% [\N{MINUS SIGN}0.40, +1.40] perplexity; {recommend.BEYOND}.")
    assert f"within {recommend.MOST_GAP:g} nats" in said
    assert recommend.BEYOND in fastest_within(1, frame)["Remark"]


def test_a_study_of_times_is_ordered_by_time_and_says_so():
    frame = synthetic.measurements(quality=False, ladder=True)
    times = [cell.value for cell in recommend.by_time(frame)["TPOT [ms]"]]
    assert times == sorted(times) and len(times) == recommend.SHOWN
    assert "measured no perplexity" in page(frame)
    assert "within" not in Checked(page(frame)).texts.get("th", [])


def test_dense_attention_is_never_recommended():
    frame = edited(whole(), "tpot_ms", 0.001, policy="dense")
    assert "dense" not in set(recommend.by_target(frame, "stdlib")["Policy"])
    assert "dense" not in set(recommend.by_time(frame)["Policy"])
