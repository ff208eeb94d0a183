"""Cases in which a claim was once judged by something else than it says."""

import pandas as pd
import pytest
import synthetic
from sinkbench.analysis import claims
from sinkbench.analysis.claims import BUSY, FAILS, HOLDS, NOT_MEASURED, NOT_YET, UNDECIDED, UNTESTABLE, judge
from synthetic import edited, whole

FULL = "streaming-4+508"
SLOW = [("eager", 91.0), ("paper", 116.0), ("compiled", 37.0), ("fused", 0.5)]


def ladder() -> pd.DataFrame:
    return synthetic.measurements(ladder=True, ablations=True, drafts=True)


def with_rows(frame: pd.DataFrame, like: dict, **columns) -> pd.DataFrame:
    """The measurements, and those that are `like` this once more with other values in some columns."""
    chosen = pd.Series(True, frame.index)
    for column, wanted in like.items():
        chosen &= (frame[column] == wanted).fillna(False).astype(bool)
    assert chosen.any()
    return pd.concat([frame, frame[chosen].assign(**columns)], ignore_index=True)


def test_a_fast_engine_does_not_make_the_eager_one_decode_in_20_ms():
    frame = ladder()
    for engine, ms in SLOW:
        frame = edited(frame, "tpot_ms", ms, 0.1, method=FULL, engine=engine)
    verdict = judge("decode_under_20ms", frame)
    assert verdict.verdict == FAILS and f"{FULL}.eager 91.00 ms" in verdict.measured
    assert f"the fastest engine: {FULL}.fused 0.50 ms [0.40, 0.60]" in verdict.measured
    near = edited(frame, "tpot_ms", 18.2, 2.1, method=FULL, engine="eager")
    assert judge("decode_under_20ms", near).verdict == UNDECIDED


def test_where_the_eager_engine_was_not_timed_its_claims_are_not_judged():
    frame = ladder()
    for word in ("decode_under_20ms", "recompute_speedup"):
        alone = frame[~frame["engine"].isin(["eager", "paper"])]
        assert judge(word, alone).verdict == NOT_MEASURED
        failed = synthetic.measurements(failed={f"{FULL}.eager": "unavailable: no memory"})
        assert judge(word, failed).verdict == UNTESTABLE


def test_a_fast_engine_does_not_make_streaming_faster_than_recomputing():
    against = {"metric": "speedup", "method": FULL, "against": "recompute-0+512.fresh"}
    frame = with_rows(
        ladder(), {**against, "engine": "eager"}, engine="fused", value=16.0, low=15.8, high=16.2
    )
    frame = edited(frame, value=1.39, width=0.15, engine="eager", **against)
    verdict = judge("recompute_speedup", frame)
    assert verdict.verdict == FAILS and f"{FULL}.eager 1.39 times" in verdict.measured
    assert f"the fastest engine: {FULL}.fused 16.00 times [15.80, 16.20]" in verdict.measured
    assert "Arithmetic bounds" in verdict.experiment and "recompute-0+512.fresh must read" in verdict.cause


def flash(gap: float, ms: float, width: float = 0.02) -> claims.Verdict:
    """The verdict on flash with this gap and time, where other kernels are 1e-7 nats off and take 3.3 ms.

    math, the slowest kernel, takes three times as long: it is no yardstick.
    """
    frame = edited(ladder(), "tpot_ms", 9.9, 0.01, engine="eager_math")
    for engine in ("eager", "paper", "eager_flash", "paper_flash"):
        own, time = (gap, ms) if engine.endswith("flash") else (1e-7, 3.3)
        for metric, factor in (("nll_gap", 1), ("nll_gap_max", 3)):
            frame = edited(frame, metric, factor * own, engine=engine)
        frame = edited(frame, "tpot_ms", time, width, method=FULL, engine=engine)
    return judge("flash_conflict", frame)


@pytest.mark.parametrize(
    ("gap", "ms", "verdict"),
    [
        (9e-7, 3.4, HOLDS),
        (1e-7, 3.4, FAILS),
        (9e-7, 2.0, FAILS),
        (9e-7, 3.0, UNDECIDED),
        (2e-7, 3.4, UNDECIDED),
    ],
)
def test_flash_is_compared_with_the_kernel_that_torch_chooses(gap, ms, verdict):
    judged = flash(gap, ms)
    assert judged.verdict == verdict
    assert "times the speed of eager" in judged.measured and "math" not in judged.measured


def test_flash_conflicts_in_the_papers_formulation_too():
    measured = flash(9e-7, 3.4).measured
    assert (
        f"NLL gap of {FULL}.paper_flash 9.0e-07 nats [7.0e-07, 1.2e-06] over 128 tokens, 9.00 [" in measured
    )
    frame = edited(ladder(), "tpot_ms", 1.0, 0.01, engine="paper_flash")
    assert judge("flash_conflict", frame).verdict == FAILS


INT8 = {"mlp": {"quantization": "int8_mlp"}, "whole": {"quantization": "int8"}}


def formats(mlp: float, everywhere: float, frame=None) -> claims.Verdict:
    """The verdict on int8 in the MLP alone with these speed-ups, where both kinds keep the perplexity."""
    frame = whole() if frame is None else frame
    frame = edited(frame, "speedup", mlp, 0.01, **INT8["mlp"])
    return judge("mlp_only", edited(frame, "speedup", everywhere, 0.01, **INT8["whole"]))


def test_int8_in_the_mlp_alone_is_no_help_where_int8_everywhere_is_one():
    verdict = formats(1.27, 1.43)
    assert verdict.verdict == FAILS
    assert "1.27 times [1.26, 1.28]" in verdict.measured and "1.43 times [1.42, 1.44]" in verdict.measured
    assert formats(1.27, 0.9).verdict == HOLDS
    assert formats(0.9, 0.8).verdict == FAILS
    worse = edited(whole(), "perplexity_change", 9.0, 0.1, **INT8["whole"])
    assert formats(1.27, 1.43, worse).verdict == HOLDS


def test_int8_everywhere_that_gives_nan_fails_where_the_mlp_alone_may_help():
    frame = whole()
    own = frame["method"].eq(f"{FULL}-int8") & frame["engine"].isna()
    frame = frame[~own | frame["metric"].eq("perplexity")].copy()
    frame.loc[frame["method"].eq(f"{FULL}-int8") & frame["engine"].isna(), "status"] = (
        "invalid: 3 NLLs are NaN"
    )
    verdict = formats(1.27, 1.43, frame)
    assert verdict.verdict == HOLDS and "on prose int8: invalid" in verdict.measured


def test_without_int8_everywhere_nothing_is_said_of_the_mlp_alone():
    frame = whole()
    frame = edited(frame, "speedup", 1.27, 0.01, **INT8["mlp"])
    verdict = judge("mlp_only", frame[frame["quantization"] != "int8"])
    assert verdict.verdict == NOT_MEASURED and "no time of int8" in verdict.measured


def test_an_int8_of_which_nothing_can_run_here_cannot_be_tested():
    frame = whole()
    lost = frame["quantization"].isin(["int8", "int8_mlp", "torchao_int8", "torchao_int8_mlp"])
    frame.loc[lost, ["value", "low", "high"]] = None
    frame.loc[lost, "status"] = "unavailable: torchao: no module"
    assert judge("mlp_only", frame).verdict == UNTESTABLE


def test_one_int8_that_is_fast_refutes_that_int8_is_slow():
    verdict = judge("int8_slow", whole())
    assert verdict.conclusion == f"{FAILS} (1 of 3 comparisons)"
    assert f"{FULL}-int8.fused 1.30 times" in verdict.measured


def test_an_int8_that_cannot_run_is_named():
    frame = edited(whole(), "speedup", 0.7, 0.01, quantization="int8")
    times = {"metric": "tpot_ms", "quantization": "torchao_int8", "engine": "compiled_graph"}
    status = "unavailable: no CUDA graph: needs to be greater than 16"
    lost = {"quantization": "torchao_int8_dynamic", "method": f"{FULL}-torchao_int8_dynamic"}
    frame = with_rows(frame, times, **lost, status=status, value=None, low=None, high=None)
    verdict = judge("int8_slow", frame)
    assert verdict.verdict == HOLDS
    assert f"{FULL}-torchao_int8_dynamic.compiled_graph: {status}" in verdict.measured


@pytest.mark.parametrize(
    ("word", "run"),
    [
        ("flash_conflict", f"{FULL}.paper_flash"),
        ("compile_gain", f"{FULL}.compiled_autotune"),
        ("stable_shapes", "dense.compiled_dynamic"),
    ],
)
def test_an_engine_that_cannot_run_is_named(word, run):
    """What is not measured yet is named too; until it is, the claim does not hold in every comparison."""
    for status, impossible in (("unavailable: no such kernel", UNTESTABLE), (NOT_YET, HOLDS)):
        judged = judge(word, with_failure(ladder(), run, status))
        assert f"{run}: {status}" in judged.measured and judged.verdict != impossible


def with_failure(frame: pd.DataFrame, run: str, status: str) -> pd.DataFrame:
    """The measurements with a status in place of the numbers of one run, an ablation."""
    method, engine = run.split(".")
    frame = frame[frame["engine"] != engine]
    like = frame[frame["engine"].eq("eager_math") & frame["metric"].eq("tpot_ms")]
    family = "attention" if engine == "paper_flash" else "compile"
    lost = like.assign(
        method=method, engine=engine, family=family, status=status, value=None, low=None, high=None
    )
    return pd.concat([frame, lost], ignore_index=True)


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("CUDA out of memory", UNTESTABLE),
        ("no CUDA graph: operation not permitted when stream is capturing", UNTESTABLE),
        ("torchao Int4WeightOnlyConfig: Requires mslk >= 1.0.0", HOLDS),
        ("torchao: No module named 'torchao'", HOLDS),
        ("torchao Int4WeightOnlyConfig: fbgemm-gpu-genai is not installed", HOLDS),
    ],
)
def test_only_a_package_that_is_missing_blocks_int4(reason, verdict):
    frame = whole()
    assert judge("int4_blocked", frame).verdict == FAILS
    mine = frame["quantization"] == "torchao_int4"
    frame = frame[~mine | (frame["metric"] == "perplexity")].copy()
    failed = frame["quantization"] == "torchao_int4"
    frame.loc[failed, ["value", "low", "high", "status"]] = [None, None, None, f"unavailable: {reason}"]
    judged = judge("int4_blocked", frame)
    assert judged.verdict == verdict and reason in judged.measured


def test_growing_shapes_that_pay_when_compiled_dynamically_refute():
    frame = synthetic.measurements(ablations=True)
    assert judge("stable_shapes", frame).verdict == HOLDS
    dynamic = {"engine": "compiled_growing"}
    frame = edited(
        with_rows(frame, dynamic, engine="compiled_dynamic"), "speedup", 1.1, 0.04, engine="compiled_dynamic"
    )
    verdict = judge("stable_shapes", frame)
    assert verdict.conclusion == f"{FAILS} (1 of 3 comparisons)"
    assert "dense.compiled_dynamic 1.10 times [1.06, 1.14]" in verdict.measured


def test_a_fixed_step_is_compared_with_itself_uncompiled():
    """Dense attention in slots of a fixed shape, against a cache that grows, gains by more than compiling."""
    frame = synthetic.measurements(ablations=True)
    frame = frame[frame["engine"] != "compiled_tuned"]
    frame = with_rows(frame, {"engine": "compiled_growing"}, engine="compiled")
    assert judge("stable_shapes", frame).verdict == NOT_MEASURED


def nan(*corpora: str, control: str = "ok") -> claims.Verdict:
    """The verdict where float16 int8 is NaN on these corpora, and the unquantized weights have a status."""
    frame = whole()
    frame = frame[frame["method"].ne(f"{FULL}-float16") | frame["metric"].eq("perplexity")]
    int8 = frame["method"].eq(f"{FULL}-torchao_int8-float16") & ~frame["corpus"].isin(corpora)
    frame.loc[int8, ["value", "status"]] = [14.1, "ok"]
    plain = frame["method"].eq(f"{FULL}-float16")
    if control != "ok":
        frame.loc[plain, ["value", "low", "high", "status"]] = [None, None, None, control]
    return judge("int8_nan", frame[~plain] if control == "" else frame)


def test_a_nan_on_one_text_shows_that_int8_gives_nan():
    assert nan("stdlib", "prose").verdict == HOLDS
    one = nan("prose")
    assert one.conclusion == f"{HOLDS} (1 of 2 comparisons)" and "9 NLLs are NaN" in one.measured
    assert nan().verdict == FAILS
    assert "no NLL of these tokens was NaN or infinite" in one.measured and "overflows" not in one.measured
    assert "torchao_int8 in float32" in one.cause and "int8 in float16" in one.cause


def test_a_nan_that_unquantized_weights_have_too_is_not_int8s():
    assert nan("prose", control="invalid: 9 NLLs are NaN").verdict == FAILS
    assert "unquantized in float16 on prose" in nan("prose").measured
    without = nan("prose", control="")
    assert without.verdict == NOT_MEASURED and "no unquantized float16 weights" in without.measured


def test_an_int8_that_this_machine_lacks_gives_no_nan():
    frame = whole()
    failed = frame["status"].str.startswith("invalid")
    frame.loc[failed, "status"] = "unavailable: torchao: no module"
    assert judge("int8_nan", frame).verdict == NOT_MEASURED


def gains(tuned: tuple, autotune: tuple) -> pd.DataFrame:
    frame = edited(synthetic.measurements(ablations=True), "speedup", *tuned, engine="compiled_tuned")
    return edited(frame, "speedup", *autotune, engine="compiled_autotune")


def test_the_gain_of_compiling_is_that_of_every_mode():
    verdict = judge("compile_gain", gains((1.2, 0.01), (1.1, 0.01)))
    assert verdict.verdict == HOLDS
    assert f"{FULL}.compiled_tuned 1.20 times [1.19, 1.21]" in verdict.measured
    assert f"{FULL}.compiled_autotune 1.10 times [1.09, 1.11]" in verdict.measured
    assert "16 s of compiling, paid for after 40,000 tokens" in verdict.measured
    assert judge("compile_gain", gains((1.7, 0.6), (1.1, 0.01))).verdict == UNDECIDED
    one = judge("compile_gain", gains((2.2, 0.1), (1.2, 0.01)))
    assert one.conclusion == f"{FAILS} (1 of 2 comparisons)"
    assert judge("compile_gain", gains((1.0, 0.01), (1.2, 0.01))).verdict == FAILS  # none is not small


def test_modes_that_none_can_run_here_are_named():
    plain = ("compiled", "compiled_tuned", "compiled_autotune")
    frame = synthetic.measurements(ablations=True)
    for engine in frame[(frame["family"] == "compile") & frame["engine"].isin(plain)]["engine"].unique():
        frame = with_failure(frame, f"{FULL}.{engine}", "unavailable: torch.compile: no compiler")
    verdict = judge("compile_gain", frame)
    assert verdict.verdict == UNTESTABLE and "no compiler" in verdict.measured


def test_a_disturbed_control_does_not_decide_what_compiling_gains():
    frame = gains((2.2, 0.1), (2.2, 0.1))
    assert judge("compile_gain", frame).verdict == FAILS
    frame.loc[frame["against"] == f"{FULL}.static", "status"] = synthetic.BUSY
    verdict = judge("compile_gain", frame)
    assert verdict.verdict == BUSY and "2.20\N{DAGGER} times [2.10, 2.30]" in verdict.measured


DECIDED = sorted(set(claims.registry.available("analysis/claims")) - {"fp8"})
ONE_IS_SHOWN = ("recovery", "refresh", "recall")  # of several candidates or distances


@pytest.mark.parametrize("word", DECIDED)
def test_the_interval_that_decides_is_printed(word, monkeypatch):
    module, deciding = claims.registry.load("analysis/claims", word), []
    for name in {"at_most", "at_least"} & set(vars(module)):
        decide = getattr(claims, name)
        monkeypatch.setattr(
            module, name, lambda x, limit, decide=decide: deciding.append(x) or decide(x, limit)
        )
    measured = judge(word, whole()).measured
    printed = [number.interval in measured for number in deciding]
    assert any(printed) if word in ONE_IS_SHOWN else all(printed)
