"""Measurements of a study that is not complete: all is shown, and what is to come says that it is to come."""

import numpy as np
import pandas as pd
import pytest
import synthetic
from sinkbench import registry
from sinkbench.analysis.claims import NOT_MEASURED, NOT_YET, judge
from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import devices, matching, run_name, usable
from sinkbench.report import figures
from sinkbench.report.pages import findings, so_far
from sinkbench.report.pages.summary import sentences
from sinkbench.results.schema import PENDING, RowRecorder, load_schema
from synthetic import FIELDS

CLAIMS = registry.available("analysis/claims")
FACTS = {"study": "s", "model": "m", "corpora": {"stdlib": "stdlib"}, "claims": CLAIMS}
FACTS |= {"confidence": "95", "block_tokens": 256, "repetitions": 5, "steps": 32}
JOB = ["method", "engine", "batch", "draft_tokens", "temperature", "corpus"]


def partial(share: float, seed: int = 0) -> pd.DataFrame:
    """A study of which about this share of the jobs is measured, and each other one is a pending row."""
    frame = synthetic.whole()
    job = frame.groupby(JOB, dropna=False, sort=False).ngroup()
    lacking = np.random.default_rng(seed).random(job.max() + 1)[job] >= share
    pending = frame[lacking].drop_duplicates(JOB)
    names = {f"{run_name(row)} {row['corpus']}" for row in pending.to_dict("records")}
    compared = frame["against"].astype(str) + " " + frame["corpus"].astype(str)
    metric = pending["engine"].isna().map({True: "perplexity", False: "tpot_ms"})
    empty = dict.fromkeys(["value", "low", "high", "n", "position", "position_kind", "document", "against"])
    pending = pending.assign(**empty, status=PENDING, device=PENDING, metric=metric)
    there = frame[~lacking & ~compared.isin(names)]  # a change needs both
    return pd.concat([there, pending.astype(frame.dtypes)], ignore_index=True)


@pytest.fixture(scope="module", params=[0.0, 0.3, 0.8])
def frame(request):
    return partial(request.param)


@pytest.mark.parametrize("word", registry.available("report/tables"))
def test_every_table_is_built(word, frame):
    table = registry.load("report/tables", word).build(frame, FIELDS | {"claims": CLAIMS})
    assert table is not None


@pytest.mark.parametrize("word", ["full", "ladder", "headline", "compile", "attention", "speculation"])
def test_tables_name_what_is_to_come(word):
    table = registry.load("report/tables", word).build(partial(0.0), FIELDS)
    assert len(table) and table["Status"].str.contains(PENDING).all()


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("word", registry.available("report/figures"))
def test_every_figure_is_drawn_or_says_that_its_numbers_are_to_come(word, share, tmp_path):
    outputs = [tmp_path / "figure.svg", tmp_path / "figure.pdf"]
    figures.render_one(word, {"title": "Title", "fields": FIELDS}, partial(share), outputs)
    if not share:
        assert b"Title: not drawn, since its numbers are not measured yet" in outputs[0].read_bytes()


def test_pages_are_made(frame):
    page = findings.page(frame, FACTS)
    assert "Measured on: NVIDIA H200." in page or "Measured on: ." in page
    assert all(said for _, step in sentences(frame) for said in step)


def test_a_claim_without_its_numbers_is_not_measured_yet():
    verdicts = {word: judge(word, partial(0.0)) for word in CLAIMS}
    assert {verdict.verdict for word, verdict in verdicts.items() if word != "fp8"} == {NOT_YET}
    assert all(PENDING in verdict.measured for verdict in verdicts.values() if verdict.measured)
    assert judge("fp8", synthetic.whole()).verdict == NOT_MEASURED  # nobody plans it: nothing is to come


def test_a_perplexity_that_is_to_come_takes_no_time_away():
    """An invalid method has no time; of a pending one nothing is known."""
    frame = synthetic.whole()
    own = (frame["method"] == "streaming-4+508") & frame["engine"].isna()
    lacking = frame[own].head(1).assign(value=np.nan, status=PENDING, metric="perplexity")
    frame = pd.concat([frame[~own], lacking], ignore_index=True)
    assert len(matching(usable(frame), method="streaming-4+508", metric="tpot_ms"))


def test_the_device_is_that_of_what_was_measured():
    frame = partial(0.5).assign(device=lambda rows: rows["device"].replace("NVIDIA H200", "CPU (Intel)"))
    assert devices(frame) == ["CPU (Intel)"] and judge("compile_gain", frame).verdict == "timed on a GPU only"


def test_the_report_names_what_is_to_come(tmp_path, monkeypatch):
    monkeypatch.setattr(so_far, "read_table", lambda path: (partial(0.5), {}))
    jobs = [("nll", "a/c"), ("nll", "b/c"), ("speed", "<r>")]
    shown = {"tables/full.html": "All & more", "figures/pareto.svg": "Pareto"}
    spec = {"study": "s", "shown": shown, "jobs": jobs, "pending": jobs[1:]}
    page = so_far.render(tmp_path, spec)
    assert "1 of 3 planned results are there" in page and "What was found so far" in page
    assert "1 of 2 perplexities" in page and "1 of 1 timings" in page and "profiles" not in page
    assert "&lt;r&gt;" in page and 'href="tables/full.html">All &amp; more' in page


def test_a_column_of_texts_without_any_text_still_joins():
    """Of a study that has measured nothing no row is against another."""
    recorder = RowRecorder(load_schema(synthetic.SCHEMA))
    about = {**synthetic._about("streaming", 4, 512), "corpus": "stdlib", "status": PENDING}
    recorder.add(about, "perplexity", None)
    frame = recorder.frame()
    assert frame["against"].dtype == frame["method"].dtype and frame["against"].isna().all()
    assert recovered(frame).empty and judge("recovery", frame).verdict == NOT_YET
