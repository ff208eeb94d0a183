"""Claims flip when the number that they rest on crosses its threshold, and are never guessed."""

import re

import pandas as pd
import pytest
import synthetic
from sinkbench import registry
from sinkbench.analysis import select, tradeoff
from sinkbench.analysis.claims import FAILS, HOLDS, NOT_MEASURED, ON_A_GPU, UNDECIDED, UNTESTABLE, judge
from synthetic import edited, whole

FULL = "streaming-4+508"
# claim: the number it rests on, a value far on the good side, the threshold, a value far on the bad side
EDITS = {
    "perplexity": ({"metric": "perplexity_change", "method": FULL}, 1.0, 4.0, 6.0),
    "sweep": ({"metric": "perplexity_change", "policy": "streaming", "against": FULL}, 1.0, 4.0, 6.0),
    "speedup": ({"metric": "speedup", "against": "dense.hf", "position": 8192}, 3.0, 2.0, 1.5),
    "recompute_speedup": ({"metric": "speedup", "against": "recompute-0+512.fresh"}, 9.0, 2.0, 1.5),
    "flatness": ({"metric": "tpot_ms", "method": FULL, "position": 8192}, 3.0, 3.3, 4.0),
    "decode_under_20ms": ({"metric": "tpot_ms", "method": FULL}, 10.0, 20.0, 30.0),
    "sinks": ({"metric": "perplexity_change", "against": "streaming-4+124"}, 15.0, 10.0, 5.0),
    "bottleneck": ({"metric": "part_ms", "method": FULL, "part": "idle"}, 3.0, 0.3, 0.1),
    "compile_gain": ({"metric": "speedup", "engine": "compiled_tuned"}, 1.2, 1.5, 3.0),
    "stable_shapes": ({"metric": "speedup", "engine": "compiled_growing"}, 0.9, 1.05, 1.4),
    "flash_conflict": (None, None, None, None),
    "explosion": ({"metric": "perplexity_beyond_ratio", "policy": "dense"}, 9.0, 2.0, 1.2),
    "speculation": ({"metric": "acceptance_rate", "method": FULL, "position": 8192}, 0.2, 0.44, 0.9),
    "attention_limited": ({"metric": "part_ms", "method": FULL, "part": "attention"}, 0.1, 0.6, 3.0),
    "refresh": ({"metric": "perplexity_change", "family": "refresh", "against": FULL}, 1.0, 4.0, 6.0),
    "recovery": ({"metric": "perplexity_change", "family": "refresh", "corpus": "prose"}, 0.1, 0.5, 1.5),
    "mlp_only": ({"metric": "perplexity_change", "quantization": "int8_mlp"}, 0.2, 1.0, 3.0),
    "int8_slow": ({"metric": "speedup", "quantization": "torchao_int8"}, 0.5, 0.9, 1.3),
    "int8_nan": ({"metric": "perplexity", "dtype": "float16"}, None, None, None),
    "int4_blocked": ({"metric": "perplexity", "quantization": "torchao_int4"}, None, None, None),
    "fp8": (None, None, None, None),  # no part of a study measures it
}
MEASURED = [name for name in EDITS if name != "fp8"]


def test_every_claim_has_an_edit():
    assert set(EDITS) == set(registry.available("analysis/claims"))


@pytest.mark.parametrize("word", [word for word, edit in EDITS.items() if edit[1] is not None])
def test_a_claim_flips_at_its_threshold(word):
    where, good, threshold, bad = EDITS[word]
    frame = whole()
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


def test_a_gain_that_is_none_is_not_small_either():
    where = {"metric": "speedup", "against": f"{FULL}.static"}
    frame = edited(synthetic.measurements(ablations=True), value=1.0, width=0.01, **where)
    assert judge("compile_gain", frame).verdict == FAILS


def test_the_gain_is_of_the_best_mode_without_cuda_graphs_beside_what_it_cost():
    verdict = judge("compile_gain", synthetic.measurements(ablations=True))
    assert verdict.verdict == HOLDS
    assert f"{FULL}.compiled_tuned 1.20" in verdict.measured
    assert "16 s of compiling, paid for after 40,000 tokens" in verdict.measured


def test_flash_conflicts_only_where_it_scores_worse_and_gains_little():
    frame = edited(synthetic.measurements(ablations=True), "nll_gap", 3.1e-7, engine="eager_math")
    for gap, tpot, verdict in (
        (9e-7, 3.3, HOLDS),
        (3e-7, 3.3, FAILS),
        (9e-7, 2.0, FAILS),
        (9e-7, 3.0, UNDECIDED),
    ):
        measured = edited(
            edited(frame, "nll_gap", gap, engine="eager_flash"), "tpot_ms", 3.3, 0.01, engine="eager_math"
        )
        measured = edited(measured, "tpot_ms", tpot, 0.05, engine="eager_flash")
        assert judge("flash_conflict", measured).verdict == verdict


def test_explosion_is_the_ratio_with_its_own_interval():
    """The bins' intervals, however wide, have no say in it."""
    frame = edited(synthetic.measurements(), "perplexity_bin", 13.0, 12.0, policy="dense")
    verdict = judge("explosion", frame)
    assert verdict.verdict == HOLDS
    assert "13.0 [11.4, 14.6] before" in verdict.measured and "512 tokens on stdlib" in verdict.measured


def test_every_budget_that_was_scored_is_in_the_sweep():
    """The half is stable, and the quarter is not."""
    frame = edited(whole(), "perplexity_change", 1.0, 0.1, policy="streaming", against=FULL)
    assert judge("sweep", frame).verdict == HOLDS
    quarter = {"method": "streaming-4+124", "against": FULL, "corpus": "prose"}
    verdict = judge("sweep", edited(frame, "perplexity_change", 6.0, 0.1, **quarter))
    assert verdict.verdict == FAILS
    assert verdict.measured.count(": stable") == 5 and verdict.measured.count(": not stable") == 1


SELECTED, SMALLER = "select-4+188+64-r4-h508-q1-p7", "select-4+92+32-r4-h508-q1-p7"


def refreshed(frame: pd.DataFrame, method: str, against: str, **percents: float) -> pd.DataFrame:
    """The measurements with another change of a refreshed cache, by corpus."""
    for corpus, percent in percents.items():
        where = {"method": method, "against": against, "corpus": corpus}
        frame = edited(frame, "perplexity_change", percent, 0.1, **where)
    return frame


def test_the_refreshed_cache_that_is_best_on_one_text_must_be_so_on_all():
    """Each of two is the best of its text; none is good on both."""
    frame = edited(whole(), "perplexity_change", 9.0, 0.1, family="refresh", against=FULL)
    frame = refreshed(frame, SELECTED, FULL, stdlib=1.0, prose=6.0)
    frame = refreshed(frame, SMALLER, FULL, stdlib=6.0, prose=1.0)
    verdict = judge("refresh", frame)
    assert verdict.verdict == FAILS and "best of 3 caches of which none would do" in verdict.measured
    verdict = judge("refresh", refreshed(frame, SMALLER, FULL, stdlib=2.0))
    assert verdict.verdict == HOLDS and "of which 1 would do" in verdict.measured
    assert "+2.00 % [+1.90, +2.10] on stdlib and +1.00 % [+0.90, +1.10] on prose" in verdict.measured


def test_the_best_of_several_on_the_only_text_is_undecided():
    frame = edited(synthetic.measurements(refresh=True), "perplexity_change", 1.0, 0.1, against=FULL)
    assert judge("refresh", frame).verdict == UNDECIDED
    alone = frame[(frame["family"] != "refresh") | (frame["method"] == SMALLER)]
    assert judge("refresh", alone).verdict == HOLDS


def test_one_cache_that_satisfies_all_proves_a_recovery_however_good_another_looks():
    """The other recovers more and may lose elsewhere: its interval crosses the limit."""
    frame = edited(whole(), "perplexity_change", 3.0, 0.1, policy="reprefill")
    frame = refreshed(frame, SMALLER, "streaming-4+124", stdlib=-6.0)
    frame = refreshed(frame, SELECTED, "streaming-4+252", stdlib=-1.2, prose=-1.0)
    frame = edited(
        frame, "perplexity_change", 0.45, 0.15, method=SMALLER, against="streaming-4+124", corpus="prose"
    )
    verdict = judge("recovery", frame)
    assert verdict.verdict == HOLDS and verdict.measured.startswith(f"{SELECTED}, best of 3 caches")


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
    policies |= {"refresh", "recovery", "speculation", "int8_nan", "fp8", "mlp_only"}
    assert {name for name in EDITS if gpu_only(name)} == set(EDITS) - policies


def test_on_a_cpu_the_quality_of_the_mlps_int8_counts_and_its_time_does_not():
    where = {"metric": "perplexity_change", "quantization": "int8_mlp"}
    for change, verdict in ((0.2, ON_A_GPU), (3.0, FAILS)):
        judged = judge("mlp_only", edited(whole(cpu=True), value=change, width=0.01, **where))
        assert judged.verdict == verdict and not judged.cause
        assert f"{change:+.2f} %" in judged.measured and f"its speed is {ON_A_GPU}" in judged.measured


def test_an_int8_that_is_slow_helps_nothing_however_good_it_is():
    assert judge("mlp_only", whole()).verdict == FAILS


def test_of_quality_and_speed_one_alone_does_not_make_the_mlps_int8_help():
    """Random weights have times and no perplexity."""
    int8 = {"quantization": "int8_mlp"}
    for gain, verdict in ((1.2, NOT_MEASURED), (1.05, NOT_MEASURED), (0.5, FAILS)):
        judged = judge("mlp_only", edited(whole(quality=False), "speedup", gain, 0.01, **int8))
        assert judged.verdict == verdict
        assert ("no perplexity of it" in judged.measured) == (verdict == NOT_MEASURED)
    for change, verdict in ((0.2, NOT_MEASURED), (3.0, FAILS)):
        judged = judge("mlp_only", edited(whole(speed=False), "perplexity_change", change, 0.01, **int8))
        assert judged.verdict == verdict


def test_the_nan_is_read_from_a_status_and_explained_by_the_other_formats():
    frame = whole()
    verdict = judge("int8_nan", frame)
    assert verdict.verdict == HOLDS and "9 NLLs are NaN" in verdict.measured
    assert "torchao_int8 in float32" in verdict.cause and "int8 in float16" in verdict.cause
    finite = frame["status"].str.startswith("invalid")
    frame.loc[finite, ["value", "status"]] = [14.1, "ok"]
    assert judge("int8_nan", frame).verdict == FAILS
    frame.loc[finite, "status"] = "unavailable: torchao: no module"
    assert judge("int8_nan", frame).verdict == NOT_MEASURED


def test_int4_is_blocked_only_where_nothing_of_it_ran():
    frame = whole()
    assert judge("int4_blocked", frame).verdict == FAILS
    blocked = frame["quantization"] == "torchao_int4"
    frame = frame[~blocked | (frame["metric"] == "perplexity")].copy()
    frame.loc[frame["quantization"] == "torchao_int4", ["value", "status"]] = [None, "unavailable: no kernel"]
    verdict = judge("int4_blocked", frame)
    assert verdict.verdict == HOLDS and "no kernel" in verdict.measured


def test_a_claim_whose_runs_this_machine_cannot_make_says_so():
    frame = whole()
    mine = frame["quantization"].isin(["torchao_int8", "torchao_int8_dynamic"]) & frame["engine"].notna()
    frame = frame[~mine | (frame["metric"] == "tpot_ms")].copy()
    failed = frame["quantization"].eq("torchao_int8") & frame["engine"].notna()
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


def test_runs_of_an_ablation_stand_for_no_method():
    """compiled_graph is faster than eager, and timed at one point only."""
    plain, varied = (synthetic.measurements(ablations=ablations) for ablations in (False, True))
    for word in ("flatness", "recompute_speedup", "speedup", "decode_under_20ms"):
        assert judge(word, varied) == judge(word, plain)
    kept = select.with_fastest_engines(varied[varied["family"] != "baseline"])
    assert set(kept["engine"].dropna()) == {"eager"}
