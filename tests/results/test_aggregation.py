"""From job files to the table: right numbers, right pairs, nothing from an invalid run."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from helpers import CODE, ROOT
from plans import SOURCES, STATISTICS, method, outputs
from sinkbench.analysis.claims import FAILS, HOLDS, UNDECIDED, judge
from sinkbench.analysis.select import usable
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.errors import UserError
from sinkbench.report.tables import ladder
from sinkbench.results.aggregate import aggregate
from sinkbench.results.provenance import COLUMNS, provenance
from sinkbench.results.speed_rows import FLOAT32_GAPS

SCHEMA = ROOT / "workflow/schemas/measurements.schema.yaml"
INPUTS = {"model": "abc", "tokens": "def"}


@pytest.fixture
def files(tmp_path):
    """Three methods over one corpus: one scores all 16 positions, one samples two, one is capped at 8."""
    generator = np.random.default_rng(0)
    nll = generator.random(16).astype("float32")
    positions = {"full": range(16), "sampled": [9, 13], "capped": range(8)}
    for name, scored in positions.items():
        scored = list(scored)
        shift = {"full": 0.0, "sampled": -0.1, "capped": 0.3}[name]
        frame = pd.DataFrame({"document": "d", "position": scored, "nll": nll[scored] + np.float32(shift)})
        notes = {"stamp": name, "status": "ok", "environment": {"device": "CPU"}, "inputs": INPUTS}
        notes |= {"trained_tokens": 8, "skipped_documents": 2}
        write_table(tmp_path / f"{name}.parquet", frame, notes)
    return tmp_path


def run(files, checks: tuple[str, ...] = ()) -> pd.DataFrame:
    methods = {"full": method(4, "sampled"), "sampled": method(4), "capped": method(None, "full")}
    stamps = {"quality": {f"{name}/c": {"stamp": name} for name in methods}, "speed": {}, "profile": {}}
    plan = {"study": "s", "methods": methods, "runs": {}, "stamps": stamps, "statistics": STATISTICS}
    checked = {name: {"stamp": name} for name in checks}
    plan |= {"code": CODE, "sources": SOURCES, "timed_on": "c", "self_checks": checked}
    paths, checked = ([str(files / f"{name}.parquet") for name in names] for names in (methods, checks))
    aggregate(plan, {"quality": paths}, SCHEMA, *outputs(files), checked)
    return read_table(files / "out.parquet")[0]


MODEL = 40e9  # bytes per step
COMPILED = {"seconds": 14.5, "graphs": 3}
RUNS = {"fast": ("full", "fused", 1), "slow": ("full", "eager", 1), "many": ("full", "fused", 16)}
RUNS["drafts"] = ("full", "eager-k2", 1)
FLOAT32 = {"mean_gap": 0.2, "max_gap": 0.6, "top_token_agreement": 0.95, "kl_divergence": 0.01}
RUNS["looked up"] = ("full", "eager-lookup-k2", 1)
TOKENS = [1, 3]  # of the two rounds of each repetition with drafts: of 3 that were judged 2 stayed
JUDGED = {"drafts": [1, 2], "looked up": [0, 2]}  # the lookup's first round had none


def repetition(number: int, ms: float, disturbed: list[str]) -> dict:
    sizes = {
        "peak_memory_bytes": 100 + number,
        "cache_bytes": 7,
        "store_bytes": None,
        "bytes_per_step": MODEL,
        "host_ms": 1.0,
    }
    times = {"ttft_ms": 10 * ms, "tpot_ms": ms, "state": {}, "disturbed": disturbed}
    looped = {"looped": (None, False, True)[number % 3]}
    return {"kind": "position", "point": 64, "repetition": number, **times, **sizes, **looped}


def run_speed(
    tmp_path,
    device: str = "NVIDIA H200",
    random: bool = False,
    float32: dict = FLOAT32,
    **repetitions: list[tuple[float, list[str]]],
) -> pd.DataFrame:
    """Aggregates runs, each given by (ms, reasons) of its repetitions; every step takes that time."""
    paths = []
    for name, timed in repetitions.items():
        points = [repetition(number, *pair) for number, pair in enumerate(timed, start=1)]
        tokens, judged = (TOKENS, JUDGED[name]) if name in JUDGED else ([1], [None])
        for point in points:
            point["step_ms"] = point["tpot_ms"] * sum(tokens) / len(tokens)
        steps = pd.DataFrame(
            [
                {**point, "step": step, "ms": point["step_ms"], "tokens": count, "judged": judged[step]}
                for point in points
                for step, count in enumerate(tokens)
            ]
        )
        bandwidths = [{"read": 4e12, "copy": 3.5e12}, {"read": 4e12, "copy": 3e12}]
        score = {"mean_gap": 0.1, "max_gap": 0.5, "tokens": 20, "float32": float32}
        notes = {"stamp": name, "status": "ok", "environment": {"device": device}, "score": score}
        notes["inputs"] = INPUTS | ({"draft": "ghi"} if name == "drafts" else {})
        paths.append(str(tmp_path / f"{name}.parquet"))
        columns = ["kind", "point", "repetition", "step", "ms", "tokens", "judged"]
        notes |= {"points": points, "bandwidth_bytes_per_s": bandwidths}
        notes["compilation"] = COMPILED if name == "slow" else None
        write_table(paths[-1], steps[columns], notes)
    runs = {
        name: dict(zip(("method", "engine", "batch"), RUNS[name], strict=True))
        | {"family": "engine", "tpot_against": ["slow"]}
        | (
            {
                "drafts": "model" if name == "drafts" else "lookup",
                "draft_tokens": 2,
                "temperature": 0,
            }
            if name in JUDGED
            else {"drafts": None, "draft_tokens": None, "temperature": None}
        )
        for name in repetitions
    }
    plan = {"study": "s", "methods": {"full": method(4)}, "runs": runs, "statistics": STATISTICS}
    plan |= {"random": random, "code": CODE, "sources": SOURCES, "timed_on": "d"}
    plan["stamps"] = {"quality": {}, "speed": {name: {"stamp": name} for name in repetitions}, "profile": {}}
    aggregate(plan, {"speed": paths}, SCHEMA, *outputs(tmp_path))
    return read_table(tmp_path / "out.parquet")[0]


def only(frame: pd.DataFrame, metric: str, run: str = "fast", **where) -> dict:
    """The one row of a metric."""
    rows = frame[(frame.metric == metric) & (frame.engine == RUNS[run][1]) & (frame.batch == RUNS[run][2])]
    for name, wanted in where.items():
        rows = rows[rows[name] == wanted]
    assert len(rows) == 1
    return rows.iloc[0].to_dict()


CLEAN = [(20.0, []), (20.0, []), (20.0, [])]


def test_floor_and_utilisation_are_against_the_faster_bandwidth_and_the_datasheet(tmp_path):
    frame = run_speed(tmp_path, fast=CLEAN)
    assert (only(frame, "bandwidth_read")["value"], only(frame, "bandwidth_copy")["value"]) == (4e12, 3.25e12)
    assert only(frame, "floor_ms")["value"] == pytest.approx(10.0)
    assert only(frame, "mbu")["value"] == pytest.approx(0.5)
    assert only(frame, "mbu_datasheet")["value"] == pytest.approx(40e9 / (20e-3 * 4.8e12))
    assert (only(frame, "nll_gap")["value"], only(frame, "nll_gap_max")["value"]) == (0.1, 0.5)


def test_a_score_has_its_rows_against_float32(tmp_path):
    frame = run_speed(tmp_path, fast=CLEAN)
    for metric, name in FLOAT32_GAPS.items():
        row = only(frame, metric)
        assert (row["value"], row["n"], row["status"]) == (FLOAT32[name], 20, "ok")


def test_a_missing_float32_score_says_why_and_leaves_the_run_its_times(tmp_path):
    said = "unavailable: no float32 evaluator: CUDA out of memory"
    frame = run_speed(tmp_path, float32={"status": said}, fast=CLEAN)
    row = only(frame, "nll_gap_float32")
    assert np.isnan(row["value"]) and row["status"] == said
    assert not set(FLOAT32_GAPS) & set(usable(frame)["metric"])
    assert only(usable(frame), "tpot_ms")["value"] == 20.0 and only(usable(frame), "nll_gap")["value"] == 0.1
    (shown,) = ladder.build(frame, {}).to_dict("records")
    assert shown["Status"] == said and shown["TPOT [ms]"].value == 20.0


def test_an_unknown_device_has_no_datasheet_row(tmp_path):
    assert "mbu_datasheet" not in set(run_speed(tmp_path, device="GPU 3000", fast=CLEAN).metric)


def test_rates_and_speedups_count_every_stream_of_a_batch(tmp_path):
    frame = run_speed(tmp_path, slow=[(60.0, [])] * 3, fast=CLEAN, many=[(40.0, [])] * 3)
    assert only(frame, "tokens_per_s", "many")["value"] == pytest.approx(16 * 25)
    assert only(frame, "speedup", "fast", against="slow")["value"] == pytest.approx(3.0)
    assert only(frame, "speedup", "many", against="slow")["value"] == pytest.approx(16 * 60 / 40)


def test_a_round_costs_what_its_tokens_take_and_gives_what_stays(tmp_path):
    frame = run_speed(tmp_path, slow=[(60.0, [])] * 3, drafts=CLEAN)
    assert only(frame, "round_ms", "drafts")["value"] == pytest.approx(40.0)
    assert only(frame, "break_even_tokens", "drafts", against="slow")["value"] == pytest.approx(40 / 60)
    assert only(frame, "speedup", "drafts", against="slow")["value"] == pytest.approx(3.0)
    assert only(frame, "tokens_per_step", "drafts")["value"] == pytest.approx(2.0)
    assert only(frame, "acceptance_rate", "drafts")["value"] == pytest.approx(2 / 3)
    assert not {"floor_ms", "mbu", "step_p50_ms"} & set(frame[frame.draft_tokens.notna()].metric)


def test_a_round_without_drafts_judges_none(tmp_path):
    frame = run_speed(tmp_path, slow=[(60.0, [])] * 3, **{"looked up": CLEAN, "drafts": CLEAN})
    assert only(frame, "acceptance_rate", "looked up")["value"] == 1.0
    assert only(frame, "acceptance_rate", "looked up")["n"] == 2 * len(CLEAN)
    assert only(frame, "drafted_rounds", "looked up")["value"] == pytest.approx(0.5)
    assert only(frame, "drafted_rounds", "drafts")["value"] == 1.0
    assert only(frame, "tokens_per_step", "looked up")["value"] == pytest.approx(2.0)
    assert only(frame, "acceptance_rate", "looked up")["corpus"] == "d"


def test_without_any_draft_nothing_is_said_of_acceptance(tmp_path, monkeypatch):
    monkeypatch.setitem(JUDGED, "looked up", [0, 0])
    monkeypatch.setitem(globals(), "TOKENS", [1, 1])
    frame = run_speed(tmp_path, slow=[(60.0, [])] * 3, **{"looked up": CLEAN})
    metrics = set(frame[frame.drafts.notna()].metric)
    assert "acceptance_rate" not in metrics
    assert only(frame, "drafted_rounds", "looked up")["value"] == 0.0


def test_loops_are_counted_of_the_texts_that_are_long_enough(tmp_path):
    row = only(run_speed(tmp_path, drafts=[(20.0, [])] * 6), "loops", "drafts")
    assert (row["value"], row["n"]) == (2, 4)


def test_of_drafts_from_random_weights_only_the_round_counts(tmp_path):
    frame = run_speed(tmp_path, random=True, slow=[(60.0, [])] * 3, drafts=CLEAN)
    drafted = set(frame[frame.draft_tokens.notna()].metric)
    assert {"round_ms", "break_even_tokens"} <= drafted
    assert not {"tpot_ms", "tokens_per_s", "speedup", "acceptance_rate", "tokens_per_step"} & drafted
    assert {"tpot_ms", "tokens_per_s"} <= set(frame[frame.draft_tokens.isna()].metric)


def test_disturbed_repetitions_are_left_out_while_enough_are_clean(tmp_path):
    frame = run_speed(tmp_path, fast=[*CLEAN, (90.0, ["shared"]), (90.0, ["hot"])])
    row = only(frame, "tpot_ms")
    assert (row["value"], row["high"], row["n"], row["status"]) == (20.0, 20.0, 3, "ok")
    assert only(frame, "step_p99_ms")["value"] == 20.0
    assert only(frame, "peak_memory_bytes")["n"] == 3


def test_changes_by_phase_are_those_of_the_positions_of_one_phase(files):
    """`full` is compared with `sampled`, which scores 9 and 13: phase 1 of a period of 4, and no other."""
    (row,) = run(files).query("metric == 'perplexity_change_phase' and method == 'full'").to_dict("records")
    assert (row["position_kind"], row["position"], row["n"], row["against"]) == ("phase", 1, 2, "sampled")
    assert row["value"] == pytest.approx(100 * np.expm1(0.1), rel=1e-5)


@pytest.mark.parametrize(
    "timed",
    [
        [(20.0, []), (20.0, []), (90.0, ["shared"])],  # fewer than 3 clean
        [*CLEAN, *[(90.0, ["shared"])] * 4],  # fewer than half clean
    ],
)
def test_a_point_with_too_few_clean_repetitions_keeps_all_and_says_so(tmp_path, timed):
    frame = run_speed(tmp_path, slow=CLEAN, fast=timed)
    for metric in ("tpot_ms", "tokens_per_s", "mbu", "step_p50_ms", "speedup"):
        row = only(frame, metric)
        assert row["status"] == "disturbed: shared" and np.isfinite(row["value"])
    assert only(frame, "tpot_ms")["n"] == len(timed)
    assert only(frame, "tpot_ms")["value"] == np.median([ms for ms, _ in timed])
    assert only(frame, "floor_ms")["status"] == only(frame, "nll_gap")["status"] == "ok"
    assert set(frame[frame.engine == "eager"].status) == {"ok"}


def test_two_clean_repetitions_of_two_are_undisturbed(tmp_path):
    assert only(run_speed(tmp_path, fast=CLEAN[:2]), "tpot_ms")["status"] == "ok"


def test_a_disturbed_baseline_marks_the_speedup_alone(tmp_path):
    frame = run_speed(tmp_path, slow=[(60.0, ["shared"])] * 3, fast=CLEAN)
    assert only(frame, "speedup")["status"] == "disturbed: shared"
    assert only(frame, "tpot_ms")["status"] == "ok"


def value(frame: pd.DataFrame, method: str, metric: str) -> float:
    rows = frame[(frame.method == method) & (frame.metric == metric) & frame.document.isna()]
    assert len(rows) == 1
    return float(rows.value.iloc[0])


def test_perplexities_changes_and_pairs(files):
    frame = run(files)
    nll = read_table(files / "full.parquet")[0].nll.astype(float)
    assert value(frame, "full", "perplexity") == pytest.approx(np.exp(nll.mean()))
    assert value(frame, "full", "perplexity_paired") == pytest.approx(np.exp(nll[[9, 13]].mean()))
    assert value(frame, "full", "perplexity_change") == pytest.approx(100 * (np.exp(0.1) - 1), rel=1e-5)
    assert value(frame, "capped", "perplexity_change") == pytest.approx(100 * (np.exp(0.3) - 1), rel=1e-5)
    assert "perplexity_paired" not in set(frame[frame.method == "capped"].metric)
    bins = frame[(frame.method == "full") & (frame.metric == "perplexity_bin")].set_index("position")
    assert float(bins.value[8]) == pytest.approx(np.exp(nll[8:].mean()))
    assert value(frame, "full", "skipped_documents") == 2


def aggregated(tmp_path, frames: dict[str, pd.DataFrame], methods: dict, trained: int, **statistics):
    """The measurements of these NLLs over corpus c."""
    notes = {
        "status": "ok",
        "environment": {"device": "CPU"},
        "inputs": INPUTS,
        "trained_tokens": trained,
        "skipped_documents": 0,
    }
    for name, frame in frames.items():
        write_table(tmp_path / f"{name}.parquet", frame, notes | {"stamp": name})
    stamps = {"quality": {f"{name}/c": {"stamp": name} for name in methods}, "speed": {}, "profile": {}}
    plan = {"study": "s", "methods": methods, "runs": {}, "stamps": stamps, "timed_on": "c"}
    plan |= {"statistics": STATISTICS | statistics, "sources": SOURCES, "code": CODE}
    paths = {"quality": [tmp_path / f"{name}.parquet" for name in methods]}
    aggregate(plan, paths, SCHEMA, *outputs(tmp_path))
    return read_table(tmp_path / "out.parquet")[0]


def test_every_baseline_of_a_method_has_a_change_of_its_own(tmp_path):
    """The first one alone has documents, too."""
    shifts = {"a": 0.0, "b": 0.1, "c": 0.3}
    nll = np.random.default_rng(0).random(16)
    frames = {
        name: pd.DataFrame({"document": "d", "position": range(16), "nll": (nll + shift).astype("float32")})
        for name, shift in shifts.items()
    }
    methods = {name: method(4) for name in "abc"}
    methods["c"]["against"] = ["b", "a"]
    rows = aggregated(tmp_path, frames, methods, 8).query("metric == 'perplexity_change' and method == 'c'")
    pooled = rows[rows["document"].isna()].set_index("against")["value"]
    assert pooled.to_dict() == pytest.approx({"b": 100 * np.expm1(0.2), "a": 100 * np.expm1(0.3)}, rel=1e-5)
    assert list(rows["against"][rows["document"].notna()]) == ["b"]


def test_perplexity_within_and_beyond_the_trained_length_and_their_ratio(files):
    frame = run(files)
    nll = read_table(files / "full.parquet")[0].nll.astype(float)
    rows = frame[(frame.method == "full") & (frame.position_kind == "trained")].set_index("metric")
    within, beyond = np.exp(nll[:8].mean()), np.exp(nll[8:].mean())
    expected = {"perplexity_within": within, "perplexity_beyond": beyond}
    assert rows.value.to_dict() == pytest.approx(expected | {"perplexity_beyond_ratio": beyond / within})
    assert set(rows.position) == {8} and list(rows.n) == [8, 8, 16]
    capped = frame[(frame.method == "capped") & (frame.position_kind == "trained")]
    assert list(capped.metric) == ["perplexity_within"]


def test_a_twentyfold_explosion_on_one_document_is_one(tmp_path):
    """As wikitext in config.yaml: 16,384 tokens, 2,048 of training, correlated over hundreds of tokens."""
    generator, methods = np.random.default_rng(0), {"dense": method(None) | {"policy": "dense"}}
    long = {"block_tokens": 2048, "position_bin": 512, "confidence": 0.95, "resamples": 500}
    for factor, verdicts in [(20, {HOLDS})] * 6 + [(1, {FAILS, UNDECIDED})] * 2:
        steps = np.zeros(256 + 20)
        for t in range(1, len(steps)):
            steps[t] = 0.73 * steps[t - 1] + 0.4 * generator.standard_normal()
        nll = 2.5 + np.repeat(steps[20:], 64) + np.log(factor) * (np.arange(16384) >= 2048)
        frame = pd.DataFrame({"document": "d", "position": range(16384), "nll": nll.astype("float32")})
        measured = aggregated(tmp_path, {"dense": frame}, methods, 2048, **long)
        assert judge("explosion", measured).verdict in verdicts


def test_aggregation_holds_a_float_for_each_position_and_method(tmp_path):
    """And some fifty bytes for each position beside them, however many methods there are."""
    tokens, methods = 204_800, {f"m{number}": method(4) for number in range(12)}
    nll = np.random.default_rng(0).random(tokens, dtype="float32")
    frames = dict.fromkeys(methods, pd.DataFrame({"document": "d", "position": range(tokens), "nll": nll}))
    tracemalloc.start()
    aggregated(tmp_path, frames, methods, 2048, block_tokens=2048, position_bin=tokens)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < tokens * (4 * len(methods) + 80)


def test_an_invalid_run_has_a_status_and_no_number(files):
    table, notes = read_table(files / "full.parquet")
    write_table(files / "full.parquet", table.iloc[:0], notes | {"status": "invalid: NaN"})
    frame = run(files)
    rows = frame[frame.method == "full"]
    assert set(rows.status) == {"invalid: NaN"}
    assert rows.value.isna().all()
    assert "perplexity_change" not in set(frame[frame.method == "capped"].metric)


def test_another_stamp_is_refused(files):
    table, notes = read_table(files / "full.parquet")
    write_table(files / "full.parquet", table, notes | {"stamp": "older"})
    with pytest.raises(UserError, match=r"full\.parquet: made with another config or other code"):
        run(files)


def test_what_self_checks_said_is_recorded_and_an_old_one_is_refused(files):
    notes = {"model": {"stamp": "model", "said": "mean NLL 3.2711 here"}, "draft": {"stamp": "draft"}}
    for name, about in notes.items():
        write_table(files / f"{name}.parquet", pd.DataFrame(), {"status": "unavailable: no room"} | about)
    run(files, checks=("model", "draft"))
    said = json.loads((files / "environment.json").read_text())["self_checks"]
    assert said == {"model": "mean NLL 3.2711 here", "draft": "unavailable: no room"}
    write_table(files / "model.parquet", pd.DataFrame(), notes["model"] | {"stamp": "of other code"})
    with pytest.raises(UserError, match=r"model\.parquet: made with another config or other code"):
        run(files, checks=("model",))


def test_environments_name_the_jobs_that_were_made_in_them(files):
    frame, notes = read_table(files / "full.parquet")
    inputs = {"model": "xyz", "tokens": "def"}
    other = {"environment": {"device": "another CPU"}, "inputs": inputs}
    write_table(files / "full.parquet", frame, notes | other)
    run(files)
    assert json.loads((files / "environment.json").read_text()) == {
        "study": "s",
        "sources": SOURCES,
        "statistics": STATISTICS,
        "self_checks": {},
        "converted_from": {},
        "inputs": [
            {**inputs, "jobs": ["quality full/c"]},
            {**INPUTS, "jobs": ["quality sampled/c", "quality capped/c"]},
        ],
        "environments": [
            {"device": "another CPU", "jobs": ["quality full/c"]},
            {"device": "CPU", "jobs": ["quality sampled/c", "quality capped/c"]},
        ],
    }


ENVIRONMENT = {
    "python": "3.12.3",
    "platform": "Linux",
    "commit": "c0ffee",
    "dirty": True,
    "torch": "2.13.0",
    "triton": None,
    "device": "GPU 3000",
    "driver": "580.1",
}


def test_every_row_says_what_it_came_from(files):
    """One job was made in another environment, from other weights: its rows say so, and no others."""
    table, notes = read_table(files / "full.parquet")
    other = {"environment": ENVIRONMENT, "inputs": {"model": "xyz", "tokens": "def"}}
    write_table(files / "full.parquet", table, notes | other)
    frame = run(files)
    revisions = f"model lab/model@{'0' * 40}, c lab/texts@{'1' * 40}"
    shared = {"seeds": "statistics 0", "revisions": revisions, "tokens_sha256": "def"}
    expected = {
        "device": "GPU 3000",
        "driver": "580.1",
        "commit": "c0ffee",
        "dirty": True,
        "versions": "python 3.12.3, torch 2.13.0",
        "model_sha256": "xyz",
    }
    assert set(expected) | set(shared) | {"draft_sha256"} == set(COLUMNS)
    ours = frame.method == "full"
    for name, wanted in shared.items():
        assert set(frame[name]) == {wanted}
    for name, wanted in expected.items():
        assert set(frame[name][ours]) == {wanted} and wanted not in set(frame[name][~ours])
    assert frame["draft_sha256"].isna().all()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"source": "package", "requirement": "tiny==1.0", "file": "m.gguf"}, f"model tiny==1.0@{'a' * 64}"),
        ({"source": "gguf", "path": "m.gguf"}, f"model m.gguf@{'a' * 64}"),
    ],
)
def test_rows_name_a_gguf_file_and_its_digest(source, expected):
    plan = {"sources": SOURCES | {"model": source | {"sha256": "a" * 64}}, "statistics": STATISTICS}
    notes = {"environment": {}, "inputs": {}}
    assert provenance(plan, notes, "c")["revisions"] == f"{expected}, c lab/texts@{'1' * 40}"


def test_rows_with_drafts_name_the_draft_and_its_seed(tmp_path):
    frame = run_speed(tmp_path, slow=[(60.0, [])] * 3, drafts=CLEAN)
    draft_tokens = frame.draft_tokens.notna()
    assert (
        set(frame["draft_sha256"][draft_tokens]) == {"ghi"}
        and frame["draft_sha256"][~draft_tokens].isna().all()
    )
    assert set(frame["seeds"][draft_tokens]) == {"statistics 0, draft 7"}
    assert set(frame["seeds"][~draft_tokens]) == {"statistics 0"}


def test_only_what_compiles_has_the_cost_of_compiling(tmp_path):
    frame = run_speed(tmp_path, slow=[(20.0, [])] * 2, fast=[(10.0, [])] * 2)
    cost = only(frame, "compile_s", "slow")
    assert (cost["value"], cost["n"], only(frame, "compilations", "slow")["value"]) == (14.5, 3, 3)
    assert not ((frame.engine == "fused") & frame.metric.isin(["compile_s", "compilations"])).any()
