"""Claims flip when the number that they rest on crosses its threshold, and are never guessed."""

import re

import pandas as pd
import pytest
import synthetic
from sinkbench import registry
from sinkbench.analysis import select, tradeoff
from sinkbench.analysis.claims import FAILS, HOLDS, NOT_MEASURED, ON_A_GPU, UNDECIDED, UNTESTABLE, judge
from sinkbench.analysis.select import matching
from synthetic import edited, whole

FULL = "streaming-4+508"
# claim: the number it rests on, a value far on the good side, the threshold, a value far on the bad side
EDITS = {
    "perplexity": ({"metric": "perplexity_change", "method": FULL}, 1.0, 4.0, 6.0),
    "sweep": ({"metric": "perplexity_change", "policy": "streaming", "against": FULL}, 1.0, 4.0, 6.0),
    "speedup": ({"metric": "speedup", "against": "dense.hf", "position": 8192}, 3.0, 2.0, 1.5),
    "recompute_speedup": ({"metric": "speedup", "against": "recompute-0+512.fresh"}, 9.0, 2.0, 1.5),
    "flatness": ({"metric": "tpot_ms", "method": FULL, "position": 8192}, 3.0, 3.3, 4.0),
    "decode_under_20ms": ({"metric": "tpot_ms", "method": FULL, "engine": "eager"}, 10.0, 20.0, 30.0),
    "sinks": ({"metric": "perplexity_change", "against": "streaming-4+124"}, 15.0, 10.0, 5.0),
    "recall": ({"metric": "recall_saved", "policy": "streaming"}, 0.04, 0.16, 0.5),
    "bottleneck": ({"metric": "part_ms", "method": FULL, "part": "idle"}, 3.0, 0.6, 0.1),
    "compile_gain": ({"metric": "speedup", "engine": "compiled_tuned"}, 1.2, 1.5, 3.0),
    "stable_shapes": ({"metric": "speedup", "engine": "compiled_growing"}, 0.9, 1.05, 1.4),
    "flash_conflict": (None, None, None, None),
    "explosion": ({"metric": "perplexity_beyond_ratio", "policy": "dense"}, 9.0, 2.0, 1.2),
    "speculation": ({"metric": "tpot_ms", "method": FULL, "family": "speculation"}, 6.0, 3.0, 1.0),
    "attention_limited": ({"metric": "step_without_attention_ms", "method": FULL}, 2.9, 2.4, 1.5),
    "refresh": ({"metric": "perplexity_change", "family": "refresh", "against": FULL}, 1.0, 4.0, 6.0),
    "recovery": ({"metric": "perplexity_change", "family": "refresh", "corpus": "prose"}, 0.1, 0.5, 1.5),
    "mlp_only": ({"metric": "perplexity_change", "quantization": "int8_mlp"}, 0.2, 1.0, 3.0),
    "int8_slow": ({"metric": "speedup", "quantization": "torchao_int8"}, 0.5, 0.9, 1.3),
    "int8_nan": ({"metric": "perplexity", "dtype": "float16"}, None, None, None),
    "int4_blocked": ({"metric": "perplexity", "quantization": "torchao_int4"}, None, None, None),
    "fp8": (None, None, None, None),  # no part of a study measures it
}
# What else must be so for the number to decide: int8 of all layers gains nothing.
BESIDE = {word: {"value": 0.8, "width": 0.01, "quantization": "int8"} for word in ("mlp_only", "int8_slow")}
MEASURED = [name for name in EDITS if name != "fp8"]


def test_every_claim_has_an_edit():
    assert set(EDITS) == set(registry.available("analysis/claims"))


@pytest.mark.parametrize("word", [word for word, edit in EDITS.items() if edit[1] is not None])
def test_a_claim_flips_at_its_threshold(word):
    where, good, threshold, bad = EDITS[word]
    frame = whole()
    if word in BESIDE:
        frame = edited(frame, "speedup", **BESIDE[word])
    if word == "mlp_only":
        frame = edited(frame, "speedup", 1.2, 0.01, quantization="int8_mlp")
    for value, width, verdict in ((good, 0.1, HOLDS), (threshold, 0.5, UNDECIDED), (bad, 0.1, FAILS)):
        assert judge(word, edited(frame, value=value, width=width, **where)).verdict == verdict


def test_a_recovery_is_one_of_a_quarter_by_a_cache_that_spares_the_others():
    """Of two that gain alike where text repeats, the one that loses elsewhere does not decide."""
    where = {"metric": "perplexity_change", "corpus": "prose"}
    frame = edited(whole(), value=9.0, method="select-4+92+32-r4-h508-q1-p7", **where)
    verdict = judge("recovery", frame)
    assert "select-4+188+64" in verdict.measured and "9.00" not in verdict.measured
    few = edited(whole(), "perplexity_change", -0.1, 0.01, family="refresh")
    assert judge("recovery", few).verdict == FAILS
    assert judge("recovery", synthetic.measurements(refresh=True)).verdict == NOT_MEASURED  # one corpus


def test_corpora_of_some_families_leave_the_claims_on_others_alone():
    frame = whole()
    beside = (frame["corpus"] == "prose") & ~frame["family"].isin(["streaming", "refresh"])
    for word in ("perplexity", "sinks"):
        assert judge(word, frame[~beside]).verdict == judge(word, frame).verdict != NOT_MEASURED


def test_explosion_is_the_ratio_with_its_own_interval():
    """The bins' intervals, however wide, have no say in it."""
    frame = edited(synthetic.measurements(), "perplexity_bin", 13.0, 12.0, policy="dense")
    verdict = judge("explosion", frame)
    assert verdict.verdict == HOLDS
    assert "13.0 [11.4, 14.6] before" in verdict.measured and "512 tokens on stdlib" in verdict.measured


@pytest.mark.parametrize("word", MEASURED)
def test_a_verdict_states_claim_threshold_and_measurement(word):
    verdict = judge(word, whole())
    assert verdict.claim and verdict.threshold and verdict.measured


@pytest.mark.parametrize("word", registry.available("analysis/claims"))
def test_what_is_not_measured_is_not_judged(word):
    empty = synthetic.measurements(quality=False, speed=False)
    assert judge(word, empty).verdict == NOT_MEASURED


def test_a_claim_about_an_invalid_run_names_its_status():
    frame = synthetic.measurements(failed={FULL: "invalid: NaN"})
    for word in ("decode_under_20ms", "speedup", "flatness"):
        verdict = judge(word, frame)
        assert verdict.verdict == NOT_MEASURED and "invalid" in verdict.measured


def gpu_only(name: str) -> bool:
    return getattr(registry.load("analysis/claims", name), "GPU_ONLY", False)


@pytest.mark.parametrize("name", registry.available("analysis/claims"))
def test_times_of_a_cpu_judge_no_mechanism_of_a_gpu(name):
    """Of one claim a part is of times: it stands as it is where its other part refutes it."""
    on_gpu, on_cpu = judge(name, whole()), judge(name, whole(cpu=True))
    assert on_gpu.verdict != ON_A_GPU
    if gpu_only(name):
        assert (on_cpu.verdict, on_cpu.measured, on_cpu.cause) == (ON_A_GPU, "", "")
    elif name != "mlp_only":
        assert on_cpu == on_gpu


def test_the_mechanisms_of_a_gpu_are_those_of_kernels_compilers_and_formats():
    """What policies do to time and perplexity is judged on a CPU too."""
    policies = {"perplexity", "speedup", "recompute_speedup", "sinks", "explosion", "flatness", "sweep"}
    policies |= {"recall", "refresh", "recovery", "speculation", "int8_nan", "fp8", "mlp_only"}
    assert {name for name in EDITS if gpu_only(name)} == set(EDITS) - policies


def test_on_a_cpu_the_quality_of_the_mlps_int8_counts_and_its_time_does_not():
    where = {"metric": "perplexity_change", "quantization": "int8_mlp"}
    for change, verdict in ((0.2, ON_A_GPU), (3.0, FAILS)):
        judged = judge("mlp_only", edited(whole(cpu=True), value=change, width=0.01, **where))
        assert judged.verdict == verdict and not judged.cause
        assert f"{change:+.2f} %" in judged.measured and f"its speed is {ON_A_GPU}" in judged.measured


def test_of_quality_and_speed_one_alone_does_not_make_the_mlps_int8_help():
    """Random weights have times and no perplexity."""
    int8 = {"quantization": "int8_mlp"}
    for gain, verdict in ((1.2, NOT_MEASURED), (1.05, NOT_MEASURED), (0.5, FAILS)):
        judged = judge("mlp_only", edited(whole(quality=False), "speedup", gain, 0.01, **int8))
        assert judged.verdict == verdict
        assert "no perplexity of int8_mlp" in judged.measured
    for change, verdict in ((0.2, NOT_MEASURED), (3.0, FAILS)):
        judged = judge("mlp_only", edited(whole(speed=False), "perplexity_change", change, 0.01, **int8))
        assert judged.verdict == verdict


def test_a_claim_whose_runs_this_machine_cannot_make_says_so():
    frame = whole()
    mine = frame["quantization"].isin(["torchao_int8", "int8"]) & frame["engine"].notna()
    frame = frame[~mine | (frame["metric"] == "tpot_ms")].copy()
    failed = frame["quantization"].isin(["torchao_int8", "int8"]) & frame["engine"].notna()
    frame.loc[failed, ["value", "low", "high"]] = None
    frame.loc[failed, "status"] = "unavailable: torchao: no module"
    frame = frame[(frame["dtype"] != "float16")]
    verdict = judge("int8_slow", frame)
    assert verdict.verdict == UNTESTABLE and "no module" in verdict.measured


@pytest.mark.parametrize("word", registry.available("analysis/claims"))
def test_a_cause_is_made_of_measured_numbers_or_is_none(word):
    """Scaling what was measured beside a result changes what is said of its cause."""
    frame = whole()
    cause = judge(word, frame).cause
    numbers = frame.select_dtypes("float").columns.intersection(["value", "low", "high"])
    scaled = frame.assign(**{name: frame[name] * 1.37 for name in numbers})
    scaled["position"] = frame["position"]
    assert not re.search(r"\d", cause) or judge(word, scaled).cause != cause


def test_a_claim_must_hold_on_every_corpus():
    frame = synthetic.measurements(corpora=("stdlib", "books"))
    frame = edited(frame, "perplexity_change", 9.0, 0.1, method=FULL, corpus="books")
    verdict = judge("perplexity", frame)
    assert verdict.verdict == FAILS
    assert "stdlib" in verdict.measured and "books" in verdict.measured


def test_paired_changes_are_the_measured_ones_and_none_is_derived():
    """Whatever most methods are compared with: one interval stands in every verdict and every point."""
    frame = whole()
    direct = {"method": "streaming-4+252", "against": FULL}
    measured = edited(frame, "perplexity_change", 5.69, 1.3, **direct)
    change = tradeoff.paired_change(measured, "stdlib", *direct.values())
    assert (change.value, *change.bounds) == pytest.approx((5.69, 4.39, 6.99))
    assert f"streaming-4+252 {change}" in judge("sweep", measured).measured
    points = {
        row["method"]: perplexity for row, _, perplexity in tradeoff.tradeoff(measured, "stdlib").points
    }
    assert tuple(points["streaming-4+252"].bounds) == pytest.approx((14.05 * 1.0439, 14.05 * 1.0699))
    paired = (frame["method"] == direct["method"]) & (frame["against"] == FULL)
    with pytest.raises(select.NotMeasured):
        tradeoff.paired_change(frame[~paired], "stdlib", *direct.values())


def test_the_frontier_is_what_no_other_run_beats():
    found = tradeoff.tradeoff(synthetic.measurements(), "stdlib")
    best = {row["method"] for row in found.frontier}
    for row, tpot, perplexity in found.points:
        beaten = any(
            other.value <= tpot.value and quality.value <= perplexity.value and rival is not row
            for rival, other, quality in found.points
        )
        assert (row["method"] in best) != beaten


def with_engines(frame: pd.DataFrame, baselines: dict[str, float]) -> pd.DataFrame:
    """The measurements with streaming and dense on a fast engine too, and its speed-ups by baseline."""
    own = frame["metric"].isin(("tpot_ms", "speedup")) & frame["method"].isin((FULL, "dense"))
    fast = frame[own & (frame["batch"] == 1) & frame["engine"].isin(("eager", "hf"))].copy()
    fast["engine"], fast["value"] = "fast", 0.1
    times = fast[fast["metric"] == "tpot_ms"]
    ratios = fast[(fast["metric"] == "speedup") & (fast["against"] == "dense.hf")]
    made = [ratios.assign(against=name, value=x, low=x, high=x) for name, x in baselines.items()]
    return pd.concat([frame, times, *made], ignore_index=True)


def test_a_speedup_of_the_engine_is_none_of_the_policy():
    """A fast engine against a slow dense baseline says nothing while both were decoded on the fast one."""
    frame = with_engines(synthetic.measurements(), {"dense.hf": 99.0, "dense.fast": 1.5})
    verdict = judge("speedup", frame)
    assert verdict.verdict == FAILS
    assert f"{FULL}.fast 1.5" in verdict.measured and "dense.fast" in verdict.measured
    frame = with_engines(synthetic.measurements(), {"dense.hf": 99.0})
    assert f"{FULL}.fast 99" in judge("speedup", frame).measured


def test_a_speedup_says_which_engines_agree():
    """The fastest engine that decoded both decides, and the verdict shows where it would be another."""
    frame = with_engines(synthetic.measurements(), {"dense.hf": 99.0, "dense.fast": 2.55})
    slower = matching(frame, method=FULL, metric="speedup", against="dense.fast")
    times = matching(frame, method=FULL, metric="tpot_ms", engine="fast")
    shares = {"graph": 1.74, "other": 2.4, "unsure": 2.0}
    for engine, share in shares.items():
        made = slower.assign(against=f"dense.{engine}", value=share, low=share - 0.1, high=share + 0.1)
        dense = matching(frame, method="dense", metric="tpot_ms", engine="fast")
        added = (made, times.assign(value=5.0), dense.assign(value=9.0))
        frame = pd.concat([frame, *(rows.assign(engine=engine) for rows in added)], ignore_index=True)
    verdict = judge("speedup", frame)
    assert verdict.verdict == HOLDS
    assert f"{FULL}.fast 2.55 times" in verdict.measured
    assert "99.00 times [99.00, 99.00] that of dense.hf" in verdict.measured
    assert "2 times by the policy alone reached on fast 2.55 [2.55, 2.55], other 2.40" in verdict.measured
    assert "undecided on unsure 2.00 [1.90, 2.10]" in verdict.measured
    assert "not reached on graph 1.74 [1.64, 1.84]" in verdict.measured


def test_without_an_engine_that_decoded_both_the_best_of_transformers_is_the_baseline():
    frame = synthetic.measurements()
    ratios = matching(frame, metric="speedup", against="dense.hf", method=FULL)
    times = matching(frame, metric="tpot_ms", method="dense", engine="hf")
    best = [ratios.assign(against="dense.hf_static", value=1.3, low=1.2, high=1.4)]
    best.append(times.assign(engine="hf_static", value=1.0))
    verdict = judge("speedup", pd.concat([frame, *best], ignore_index=True))
    assert verdict.verdict == FAILS
    assert "1.30 times [1.20, 1.40] the speed of dense.hf_static" in verdict.measured


def test_runs_of_an_ablation_stand_for_no_method():
    """compiled_graph is faster than eager, and timed at one point only."""
    plain, varied = (synthetic.measurements(ablations=ablations) for ablations in (False, True))
    for word in ("flatness", "recompute_speedup", "speedup", "decode_under_20ms"):
        assert judge(word, varied) == judge(word, plain)
    kept = select.with_fastest_engines(varied[varied["family"] != "baseline"])
    assert set(kept["engine"].dropna()) == {"eager"}
