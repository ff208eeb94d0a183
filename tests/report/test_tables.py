"""Tables and their formats, over synthetic measurements: what must and what must never be in them."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
import synthetic
from sinkbench import registry
from sinkbench.analysis import select
from sinkbench.analysis.estimate import Estimate
from sinkbench.errors import UserError
from sinkbench.report import catalogue, formats
from synthetic import FIELDS

INVALID = "invalid: 3 NLLs are NaN or infinite, the first in turtle at position 77"
UNAVAILABLE = "unavailable: out of memory"
FORMATS = registry.available("report/formats")


def build(word: str, **options) -> pd.DataFrame:
    return registry.load("report/tables", word).build(synthetic.measurements(**options), FIELDS)


def row_of(table: pd.DataFrame, run: str) -> dict:
    return table[table["Run"] == run].iloc[0].to_dict()


def headline_row(table: pd.DataFrame, policy: str, engine: str, weights: str = "float32") -> dict:
    (row,) = [
        row
        for row in table.to_dict("records")
        if (row["Policy and budget"], row["Engine"], row["Weights"]) == (policy, engine, weights)
    ]
    return row


def numbers_in(row: dict) -> list:
    return [
        cell for heading, cell in row.items() if isinstance(cell, Estimate) and heading != "Budget [tokens]"
    ]


@pytest.mark.parametrize("word", registry.available("report/tables"))
def test_every_table_in_every_format_twice_is_the_same(word, tmp_path):
    tables = [build(word), build(word)]
    for ending in FORMATS:
        written = []
        for number, table in enumerate(tables):
            path = tmp_path / f"{number}.{ending}"
            formats.write(path, table, "Title", "Caption")
            written.append(path.read_bytes())
        assert written[0] == written[1] and written[0]


LOADED = """
import sys
from sinkbench import registry
for folder in ("report/tables", "report/formats", "report/pages"):
    for name in registry.available(folder):
        registry.load(folder, name)
print(sorted({"torch", "transformers", "matplotlib", "scipy"} & set(sys.modules)))
"""


def test_tables_and_pages_load_neither_torch_nor_matplotlib():
    environment = {**os.environ, "PYTHONPATH": str(synthetic.SCHEMA.parents[2] / "scripts")}
    command = [sys.executable, "-c", LOADED]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout == "[]\n"


def test_the_full_table_has_a_row_per_run_and_corpus():
    assert len(build("full", corpora=("stdlib", "books"))) == 2 * len(synthetic.METHODS)


def test_the_headline_has_a_row_per_run_and_at_most_three_corpora():
    table = build("headline", corpora=("a", "b", "c", "d"), ladder=True)
    assert len(table) == len(synthetic.METHODS) + len(synthetic.LADDER)
    assert [name for name in table if "Perplexity" in name] == [f"Perplexity on {name}" for name in "abc"]
    assert len(table.columns) == 11  # a run, three corpora, time, three speed-ups, memory


def test_a_headline_perplexity_stands_beside_its_change_against_the_baseline():
    table = build("headline")
    start = headline_row(table, "streaming-4+508", "eager")["Perplexity on stdlib"]
    assert start.note == "baseline" and start.change is None
    half = headline_row(table, "streaming-4+252", "eager")["Perplexity on stdlib"]
    assert half.value == pytest.approx(14.05 * 1.031)
    assert half.change.value == pytest.approx(3.1)
    assert half.value / start.value == pytest.approx(1 + half.change.value / 100)


def test_a_method_that_is_not_compared_has_its_own_perplexity_and_says_so():
    frame = synthetic.measurements()
    alone = frame[(frame["method"] != "window-0+64") | (frame["metric"] != "perplexity_change")]
    table = registry.load("report/tables", "headline").build(alone, FIELDS)
    cell = headline_row(table, "window-0+64", "eager")["Perplexity on stdlib"]
    assert (cell.value, cell.note, cell.change) == (22.0, "not compared", None)


@pytest.mark.parametrize("name", ["headline", "ladder"])
def test_speedups_are_over_the_best_of_transformers_then_the_fastest_then_transformers_as_it_comes(name):
    def headings(**options):
        found = [re.fullmatch(r"Speed-up over (.*) \[x\]", name) for name in build(name, **options)]
        return [match[1] for match in found if match]

    assert headings(ladder=True) == ["dense.hf_eager", "dense.fused", "dense.hf"]
    assert headings(ladder=True, failed={"dense.hf_eager": UNAVAILABLE}) == ["dense.hf", "dense.fused"]
    assert headings(ladder=True, failed={"dense.fused": UNAVAILABLE}) == ["dense.hf_eager", "dense.hf"]
    assert headings() == ["dense.hf"]
    assert headings(failed={"dense.hf": UNAVAILABLE}) == []


def test_a_speedup_that_the_study_recorded_is_shown_as_it_was():
    """Its interval is that of both times together; the joined ends of both would be wider."""
    frame = synthetic.measurements(ladder=True)
    own = (
        (frame["metric"] == "speedup") & (frame["method"] == "streaming-4+508") & (frame["engine"] == "fused")
    )
    own &= (frame["batch"] == 1) & (frame["against"] == "dense.hf") & (frame["position"] == 8192)
    frame.loc[own, ["value", "low", "high"]] = (7.0, 6.9, 7.1)
    for name in ("headline", "ladder"):
        table = registry.load("report/tables", name).build(frame, FIELDS)
        shown = table["Speed-up over dense.hf [x]"]
        assert [cell.value for cell in shown if cell and cell.low == 6.9] == [7.0]


def test_a_speedup_is_over_the_fastest_dense_run_of_transformers():
    """hf_eager is faster than hf."""
    heading = "Speed-up over dense.hf_eager [x]"
    table = build("headline", ladder=True)
    assert heading in table
    assert headline_row(table, "dense", "hf_eager")[heading] == Estimate(1.0)
    assert headline_row(table, "dense", "fused")[heading].value == pytest.approx(2.4 / 1.0)
    assert headline_row(table, "streaming-4+508", "fused-x16")[heading].value == pytest.approx(16 * 2.4 / 2.4)
    assert headline_row(table, "recompute-4+508", "fresh")[heading].value == pytest.approx(2.4 / 90)
    assert "Speed-up over dense.hf [x]" in build("headline")


def test_changes_and_speedups_name_their_baselines():
    row = row_of(build("full"), "streaming-4+508.eager")
    assert row["Change [%]"].note == "against recompute-4+508"
    assert row["Speed-up [x]"].note == "against dense.hf"
    assert row["TPOT [ms]"].note == "at position 8,192"


@pytest.mark.parametrize(("name", "time"), [("full", "TPOT"), ("headline", "Time per token")])
def test_a_study_of_speed_has_no_perplexity(name, time):
    headings = " ".join(build(name, quality=False))
    assert time in headings and "Perplexity" not in headings and "Change" not in headings


@pytest.mark.parametrize("name", ["full", "headline"])
def test_a_study_of_quality_has_no_times(name):
    headings = " ".join(build(name, speed=False))
    assert "Perplexity" in headings
    assert not re.search("TPOT|Time|Speed-up|memory|Cache|MBU|gap", headings)


@pytest.mark.parametrize(("trained", "is_said"), [(511, True), (512, False)])
def test_a_cache_beyond_the_trained_length_says_so(trained, is_said):
    frame = synthetic.measurements()
    frame.loc[frame["position_kind"] == "trained", "position"] = trained
    table = registry.load("report/tables", "headline").build(frame, FIELDS)
    full = {"recompute-0+512", "recompute-4+508", "streaming-4+508", "window-0+512"}
    if not is_said:
        assert "Status" not in table
        return
    assert set(table.loc[table["Status"].str.contains("trained on"), "Policy and budget"]) == full


def test_an_invalid_run_has_its_status_and_no_number():
    failed = {"window-0+64": INVALID}
    row = row_of(build("full", failed=failed), "window-0+64.eager")
    assert row["Status"] == INVALID and not numbers_in(row)
    row = headline_row(build("headline", failed=failed), "window-0+64", "eager")
    assert row["Status"] == f"on stdlib {INVALID}" and not numbers_in(row)


def test_an_invalid_method_has_its_status_and_no_number_among_documents():
    row = build("documents", failed={"window-0+64": INVALID}).set_index("Method").loc["window-0+64"]
    assert row["Status"] == INVALID and set(row.drop("Status")) == {""}


def test_a_run_invalid_on_one_corpus_has_no_time_on_another():
    frame = synthetic.measurements(corpora=("stdlib", "books"))
    bad = (frame["method"] == "window-0+64") & (frame["corpus"] == "books")
    kept = frame[~bad | (frame["metric"] == "perplexity") & frame["document"].isna()].copy()
    failed = (kept["method"] == "window-0+64") & (kept["corpus"] == "books")
    kept.loc[failed, ["value", "low", "high"]] = float("nan")
    kept.loc[failed, "status"] = INVALID
    table = registry.load("report/tables", "full").build(kept, FIELDS)
    good, invalid = table[table["Run"] == "window-0+64.eager"].to_dict("records")
    assert isinstance(good["Perplexity"], Estimate) and good["TPOT [ms]"] == ""
    assert not numbers_in(invalid)
    row = headline_row(registry.load("report/tables", "headline").build(kept, FIELDS), "window-0+64", "eager")
    assert isinstance(row["Perplexity on stdlib"], Estimate) and row["Perplexity on books"] == ""
    assert row["Time per token [ms]"] == "" and row["Status"] == f"on books {INVALID}"


def test_an_unavailable_run_keeps_only_its_perplexity():
    row = row_of(build("full", failed={"dense.hf": UNAVAILABLE}), "dense.hf")
    assert row["Status"] == UNAVAILABLE
    assert row["TPOT [ms]"] == "" and isinstance(row["Perplexity"], Estimate)


def test_verdicts_stand_as_configured_with_what_is_not_measured():
    fields = FIELDS | {"claims": ["fp8", *FIELDS["claims"]]}
    table = registry.load("report/tables", "verdict").build(synthetic.measurements(), fields)
    first, *others = table["Verdict"]
    assert first == "not measured in this study" and first not in others
    assert len(others) == len(FIELDS["claims"])


def test_csv_has_full_precision_in_columns_of_numbers(tmp_path):
    formats.write(tmp_path / "t.csv", build("full"), "Title", "Caption")
    frame = pd.read_csv(tmp_path / "t.csv").set_index("Run")
    row = frame.loc["streaming-4+508.eager"]
    assert (row["Change [%]"], row["Change [%] low"], row["Change [%] high"]) == (-0.1, -0.5, 0.4)
    assert row["Speed-up [x] note"] == "against dense.hf"
    table = build("headline", failed={"dense.hf": UNAVAILABLE})
    formats.write(tmp_path / "t.csv", table, "Title", "Caption")
    frame = pd.read_csv(tmp_path / "t.csv")
    changes = [cell.change.high for cell in table["Perplexity on stdlib"] if cell.change]
    assert frame["Perplexity on stdlib change [%] high"].dropna().tolist() == changes
    assert frame["Status"].dropna().tolist() == [UNAVAILABLE]


@pytest.mark.parametrize(
    ("ending", "mark", "note"),
    [
        ("html", "b<sup>1</sup></th>", '<ol class="footnotes"><li>no &amp; room</li></ol>'),
        ("md", "| b<sup>1</sup> |", "<sup>1</sup> no & room"),
        ("tex", r"b\textsuperscript{1} & ", r"\par\textsuperscript{1} no \& room"),
    ],
)
def test_a_status_is_a_footnote(ending, mark, note):
    cells = [Estimate(1.0), "", ""]
    table = pd.DataFrame({"Run": list("abc"), "N": cells, "Status": ["", "no & room", "no & room"]})
    text = registry.load("report/formats", ending).render(table, "Title", "Caption")
    assert mark in text and note in text
    assert "Status" not in text and text.count("room") == 1


def test_a_note_of_most_numbers_goes_into_the_heading():
    notes = ["at 1", "at 1", "at 2"]
    table = pd.DataFrame({"Run": list("abc"), "N [ms]": [Estimate(1.0, note=note) for note in notes]})
    shown = formats.sheet(table).cells
    assert list(shown) == ["Run", "N [ms] at 1, or as noted"]
    assert [cell.note for cell in shown["N [ms] at 1, or as noted"]] == ["", "", "at 2"]
    some = pd.DataFrame({"N": [Estimate(1.0, note="baseline"), Estimate(1.0)]})
    assert formats.sheet(some).cells.equals(some)


def test_latex_escapes():
    table = pd.DataFrame({"Change [%]": [Estimate(-1.5)], "Name": ["a_b & c#"]})
    text = registry.load("report/formats", "tex").render(table, "100 %", "x^2")
    body = text.split("\n", 1)[1]
    assert r"Change [\%]" in body and r"$-$1.50" in body and r"a\_b \& c\#" in body and r"100 \%" in body
    assert not re.search(r"(?<!\\)[%#_&](?!\n)", body.replace(" & ", " "))


def test_html_is_one_safe_file():
    table = pd.DataFrame({"Run": ["<script>alert(1)"], "N [ms]": [Estimate(1, 0.5, 2)]})
    text = registry.load("report/formats", "html").render(table, "A & B", "c")
    assert "<script>alert" not in text and "&lt;script&gt;" in text and "A &amp; B" in text
    assert not re.search(r"(src|href)=", text)


def test_an_unknown_word_is_refused_by_name():
    config = {"tables": ["headline", "nonsense"], "figures": [], "claims": []}
    with pytest.raises(UserError, match=r"nonsense.*headline"):
        catalogue.check(config)


def test_no_number_below_zero_is_written_as_minus_nothing():
    assert Estimate(-0.0001, spec="+z.1f").number == "+0.0"


def test_what_a_refresh_recovers_stands_beside_what_it_changes_on_every_corpus():
    frame = synthetic.measurements(corpora=("stdlib", "prose"), refresh=True)
    table = registry.load("report/tables", "refresh").build(frame, FIELDS)
    row = table[table["Cache"] == "select-4+92+32-r4-h508-q1-p7"].iloc[0]
    assert row["Change on prose [%]"].value == -6.0
    assert row["Recovered on stdlib [%]"].value == pytest.approx(100 * 15.90 * 0.06 / (15.90 - 14.05))
    assert list(table["Cache"])[-1].startswith("lazy") and table.iloc[-1]["Recovered on prose [%]"] == ""


def test_a_corpus_that_a_method_does_not_score_has_no_row_and_an_empty_cell():
    frame = synthetic.measurements(corpora=("stdlib", "prose"))
    frame = frame[(frame["corpus"] != "prose") | (frame["family"] == "streaming")]
    table = registry.load("report/tables", "full").build(frame, FIELDS)
    assert {run.split("-")[0] for run in table[table["Corpus"] == "prose"]["Run"]} == {"streaming"}
    table = registry.load("report/tables", "headline").build(frame, FIELDS)
    assert headline_row(table, "window-0+64", "eager")["Perplexity on prose"] == ""


def test_drafts_have_a_table_of_their_own_and_leave_the_others_alone():
    for word in ("headline", "full", "ladder"):
        assert build(word, drafts=True).equals(build(word))
    failed = {"streaming-4+508.eager-k2": UNAVAILABLE}
    table = build("speculation", drafts=True, failed=failed)
    points, runs = len(synthetic.POSITIONS), len(synthetic.DRAFTS)
    assert len(table) == (runs - 1) * points + 1
    assert row_of(table, "streaming-4+508.eager-k2")["Status"] == UNAVAILABLE
    row = row_of(table, "streaming-4+508.eager-k4-t1")
    assert row["Speed-up [x]"].value == pytest.approx(
        row["Tokens a round"].value / row["Break-even [tokens a round]"].value
    )
    assert build("speculation").empty


def test_drafts_of_random_weights_have_rounds_and_no_acceptance():
    frame = synthetic.measurements(quality=False, drafts=True)
    judged = frame["metric"].isin(["tpot_ms", "speedup", "acceptance_rate", "tokens_per_step"])
    rounds = frame[~judged | frame["draft_tokens"].isna()]
    table = registry.load("report/tables", "speculation").build(rounds, FIELDS)
    assert len(table) == len(synthetic.DRAFTS) * len(synthetic.POSITIONS)
    assert "Round [ms]" in table and "Drafts that stay [%]" not in table and "TPOT [ms]" not in table


LADDER_RUN = {"Method": "streaming-4+508", "Engine": "fused"}


def rung(table: pd.DataFrame, batch: int, **where) -> dict:
    """The row of a run in the ladder."""
    rows = [
        row
        for row in table.to_dict("records")
        if row["Batch"].value == batch and all(row[name] == value for name, value in where.items())
    ]
    (row,) = rows
    return row


def test_the_ladder_has_every_run_once_beside_its_floor():
    table = build("ladder", ladder=True)
    assert len(table) == len(synthetic.METHODS) + len(synthetic.LADDER)
    single, sixteen = (rung(table, batch, **LADDER_RUN) for batch in (1, 16))
    assert single["MBU [%]"].value == pytest.approx(100 * 0.5 / 0.6)
    assert sixteen["Tokens/s"].value == pytest.approx(16e3 / 2.4)
    assert rung(table, 1, Method="streaming-4+508-int4")["Weights"] == "int4"
    assert "Status" not in table


def test_a_study_without_a_known_datasheet_has_no_such_column():
    assert "MBU, datasheet [%]" not in build("ladder", ladder=True)


def test_the_ladder_is_at_one_point_however_far_single_runs_went():
    frame = synthetic.measurements(ladder=True)
    own = (frame["method"] == "streaming-4+508") & (frame["engine"] == "fused") & (frame["batch"] == 1)
    longer = frame[own & (frame["position"] == 8192)].assign(position=1_000_000)
    table = registry.load("report/tables", "ladder").build(
        pd.concat([frame, longer], ignore_index=True), FIELDS
    )
    notes = {cell.note for cell in table["TPOT [ms]"] if "position" in cell.note}
    assert notes == {"at position 8,192"}


@pytest.mark.parametrize("word", ["full", "ladder"])
def test_a_failed_batch_leaves_the_single_stream_alone(word):
    table = build(word, ladder=True, failed={"streaming-4+508.fused-x16": UNAVAILABLE})
    assert UNAVAILABLE in set(table["Status"])
    failed = table[table["Status"] == UNAVAILABLE].to_dict("records")
    assert len(failed) == 1 and failed[0]["TPOT [ms]"] == ""
    assert sum(isinstance(cell, Estimate) for cell in table["TPOT [ms]"]) == len(table) - 1


@pytest.mark.parametrize("word", ["headline", "full", "ladder"])
@pytest.mark.parametrize("ending", ["md", "html", "tex"])
def test_a_disturbed_time_is_shown_with_a_dagger_and_its_reason(word, ending):
    table = build(word, ladder=True, busy=("streaming-4+508.fused",))
    marked = [row for row in table.to_dict("records") if row["Status"]]
    assert [row["Status"] for row in marked] == [synthetic.BUSY]
    time = "Time per token [ms]" if word == "headline" else "TPOT [ms]"
    assert marked[0][time].number.endswith("\N{DAGGER}")
    assert str(table[time].tolist()).count("mark='\N{DAGGER}'") == 1
    text = re.sub(r"<[^>]*>|\\rlap{", "", registry.load("report/formats", ending).render(table, "t", "c"))
    assert "0.60\N{DAGGER}" in text.replace("0.600", "0.60")


def test_a_dagger_follows_its_number_into_verdicts():
    frame = synthetic.measurements(ladder=True, busy=("streaming-4+508.fused",))
    verdicts = registry.load("report/tables", "verdict").build(frame, FIELDS).set_index("Claim")["Measured"]
    assert "0.00\N{DAGGER}" in verdicts["Streaming's time per token does not grow with the stream"]


def test_no_claim_takes_a_batch_for_a_stream():
    frame = synthetic.measurements(ladder=True)
    fast = synthetic.edited(frame, "tpot_ms", 0.001, batch=16)
    before, after = (registry.load("report/tables", "verdict").build(each, FIELDS) for each in (frame, fast))
    pd.testing.assert_frame_equal(before, after)


def test_a_study_that_compares_no_times_has_a_ladder_without_speedups():
    frame = synthetic.measurements(quality=False)
    alone = frame[frame["metric"] != "speedup"].assign(against=float("nan"))
    table = registry.load("report/tables", "ladder").build(alone, FIELDS)
    assert "TPOT [ms]" in table and "Speed-up [x]" not in table


def by_engine(word: str, **options) -> pd.DataFrame:
    return build(word, ablations=True, **options).set_index("Engine")


def test_compiling_pays_when_it_has_saved_its_time():
    table = by_engine("compile")
    tuned = table.loc["compiled_tuned"]
    assert tuned["Speed-up [x]"].note == "against streaming-4+508.static"
    assert (tuned["Compile [s]"].value, tuned["Compilations"].value) == (16.0, 2)
    assert tuned["Pays after [tokens]"].value == pytest.approx(16e3 / (2.0 * 0.2))
    growing = table.loc["compiled_growing"]
    assert growing["Pays after [tokens]"] == "" and growing["Compilations"].value == 8
    assert table.loc["static", "Compile [s]"] == "" and table.loc["static", "Speed-up [x]"] == ""


def test_what_compilation_refuses_has_its_status():
    row = by_engine("compile", failed={"streaming-4+508.compiled_tuned": UNAVAILABLE}).loc["compiled_tuned"]
    assert row["Status"] == UNAVAILABLE and not numbers_in(row.dropna().to_dict())


def test_attention_kernels_stand_beside_the_ring_the_reference_and_ours():
    table = by_engine("attention", ladder=True)
    kernels = {"eager_math", "eager_flash", "paper_flash"}
    assert set(table.index) == {"eager", "paper", "fused"} | kernels
    assert set(table["Method"]) == {"streaming-4+508"}
    assert table.loc["eager_flash", "Speed [x eager]"].value == pytest.approx(3.0 / 2.8)
    assert table.loc["eager", "Speed [x eager]"].value == 1


def test_a_kernel_that_cannot_run_says_why():
    table = by_engine("attention", failed={"streaming-4+508.eager_flash": UNAVAILABLE})
    assert table.loc["eager_flash", "Status"] == UNAVAILABLE
    assert table.loc["eager_flash", "TPOT [ms]"] == "" and table.loc["eager_math", "Status"] == ""


def test_a_disturbed_baseline_is_no_doubt_about_the_run_that_was_compared_with_it():
    frame = synthetic.measurements()
    run = frame[(frame["method"] == "streaming-4+508") & (frame["engine"] == "eager")]
    for metric, told in (("speedup", []), ("tpot_ms", ["disturbed: by something"])):
        row = run.index[run["metric"] == metric][0]
        disturbed = run.assign(status=run["status"].where(run.index != row, "disturbed: by something"))
        assert select.status_warnings(disturbed, run["position"][row]) == told


def test_documents_whose_blocks_are_correlated_have_a_remark():
    frame = synthetic.measurements(corpora=("stdlib", "prose"))
    where = {"method": "window-0+64", "corpus": "prose"}
    frame = synthetic.edited(frame, "block_autocorrelation", 0.3, 0.1, **where)
    table = registry.load("report/tables", "documents").build(frame, FIELDS)
    row = table[table["Method"] == "window-0+64"].iloc[0]
    assert row["Correlation on prose"].value == 0.3 and row["Correlation on stdlib"].value == 0.1
    assert table["Remark"][table["Remark"] != ""].tolist() == ["intervals on prose may be too narrow"]
