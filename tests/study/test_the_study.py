"""config.yaml plans what its claims and figures need."""

import pytest
import yaml
from helpers import ROOT
from sinkbench.errors import UserError
from sinkbench.study.study import Study

CONTROL = "streaming-4+2044-float16"


def config(**changes) -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | changes


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(config())


def test_refreshed_caches_are_scored_on_short_books_and_timed_at_every_budget(study):
    refreshed = [name for name, method in study.methods.items() if method.family == "refresh"]
    assert {(name, "pg19-short") for name in refreshed} <= set(study.scored())
    timed = {run.method.options["budget"] for run in study.runs.values() if run.family == "refresh"}
    assert timed == {study.methods[name].options["budget"] for name in refreshed} >= {256, 512, 1024}
    frequent = {name for name in refreshed if study.methods[name].options.get("refresh_every") == 4}
    assert frequent and {corpus for name, corpus in study.scored() if name in frequent} == {"pg19-short"}


def test_short_books_have_every_family_and_the_main_result_has_whole_ones(study):
    families = {
        corpus: {study.methods[name].family for name, where in study.scored() if where == corpus}
        for corpus in study.corpora
    }
    assert families["pg19-short"] == {method.family for method in study.methods.values()}
    assert families["pg19"] == {"baseline", "streaming"} and "refresh" not in families["wikitext"]
    short = study.corpora["pg19-short"]
    assert (short["max_documents"], short["max_tokens"]) == (5, 32_768)
    assert short["revision"] == study.corpora["pg19"]["revision"]


def test_float16_has_its_own_control(study):
    assert study.methods[CONTROL].perplexity_against == "streaming-4+2044"
    halves = {method.quantization: method for method in study.methods.values() if method.dtype == "float16"}
    assert set(halves) == {"none", "torchao_int8", "torchao_int8_mlp", "torchao_int8_dynamic", "int8"}
    quantized = [method for word, method in halves.items() if word != "none"]
    assert {method.perplexity_against for method in quantized} == {CONTROL}


def test_sampled_drafts_are_timed_wherever_greedy_ones_are(study):
    labels = {run.label for run in study.runs.values() if run.draft_tokens == 4}
    assert {"graph-k4", "fused-k4", "graph-k4-t1", "fused-k4-t1"} <= labels


@pytest.mark.parametrize(
    ("corpora", "said"),
    [
        (["pg20"], r"runs\[0\].corpora: 'pg20' is not one of pg19, pg19-short, wikitext, stdlib"),
        (["stdlib"], r"runs\[0\].corpora: stdlib scores families streaming, refresh, not baseline"),
    ],
)
def test_an_entry_names_corpora_that_score_it(corpora, said):
    entries = config()["runs"]
    entries[0]["corpora"] = corpora
    with pytest.raises(UserError, match=said):
        Study(config(runs=entries))


def test_a_method_of_several_entries_has_the_corpora_of_the_first(study):
    entries = config()["runs"]
    first = next(entry for entry in entries if entry["family"] == "streaming")
    first["corpora"] = ["wikitext"]
    changed = Study(config(runs=entries))
    assert [corpus for name, corpus in changed.scored() if name == "streaming-4+2044"] == ["wikitext"]
    assert ("streaming-4+1020", "pg19") in set(changed.scored())


def test_corpora_of_an_entry_are_no_part_of_what_a_job_is_told(study):
    """Another list of corpora makes no perplexity old."""
    entries = config()["runs"]
    for entry in entries:
        entry.pop("corpora", None)
    wider = Study(config(runs=entries))
    assert set(study.scored()) < set(wider.scored())
    for job in study.scored():
        assert wider.quality_settings(*job) == study.quality_settings(*job)


def test_the_main_result_is_compared_with_the_best_of_transformers(study):
    static = study.runs["dense.hf_static"]
    for name in ("streaming-4+2044.eager", "streaming-4+2044.fused", "streaming-4+1020.fused", "dense.fused"):
        run = study.runs[name]
        assert {"dense.hf", static.name} <= set(run.tpot_against)
        assert set(static.positions) <= set(run.positions or study.config["speed"]["positions"])
