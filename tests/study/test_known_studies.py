"""The studies of known answers measure what they list, and a bad row is one line."""

import pytest
import yaml
from helpers import ROOT
from sinkbench.errors import UserError
from sinkbench.report import catalogue
from sinkbench.results.published import model_name
from sinkbench.study.config import read_study
from sinkbench.study.study import Study
from snakemake.utils import update_config

STUDIES = ROOT / "workflow/studies"
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
OVERLAYS = ["", "-2.8b", "-smollm2"]
BOOK = 59_202  # tokens of PG-19's first book by Pythia's tokenizer


def config(overlay: str = "") -> dict:
    """config.yaml, known.yaml and an overlay of it."""
    found: dict = {}
    for name in ["config.yaml", "workflow/studies/known.yaml", f"workflow/studies/known{overlay}.yaml"]:
        update_config(found, yaml.safe_load((ROOT / name).read_text()))
    return found


def own_rows(study: Study) -> list[dict]:
    """Rows that the study is there to measure."""
    rows = study.config["published"]
    return [row for row in rows if row["model"] == model_name(study.model) and "corpus" in row]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_figure_of_its_model_is_measured_and_nothing_else(overlay):
    study = Study(config(overlay))
    assert {(row["method"], row["corpus"]) for row in own_rows(study)} == set(study.scored())


@pytest.mark.parametrize("overlay", OVERLAYS[:2])
def test_a_method_scores_as_many_tokens_as_the_source(overlay):
    study = Study(config(overlay))
    for row in own_rows(study):
        length = min(BOOK, study.corpora[row["corpus"]].get("max_tokens", BOOK))
        positions = study.methods[row["method"]].build().positions(length)
        inside = [t for t in positions if row["first"] <= t + 1 <= row["last"]]
        assert len(inside) == row["predictions"], row


def test_ranges_of_a_source_make_up_its_whole():
    """The means of parts, weighted by their predictions, are the mean that the source has itself."""
    rows = own_rows(Study(config()))
    for method in {row["method"] for row in rows}:
        *parts, whole = sorted(
            (row for row in rows if row["method"] == method), key=lambda row: row["predictions"]
        )
        assert sum(row["predictions"] for row in parts) == whole["predictions"]
        product = 1.0
        for row in parts:
            product *= row["value"] ** (row["predictions"] / whole["predictions"])
        assert product == pytest.approx(whole["value"], rel=5e-4)


def test_a_figure_or_its_source_changes_the_table_and_no_measurement():
    before, after = config(), config()
    after["published"][0] |= {"value": 7.0, "tolerance": 0.5, "source": "another"}
    plans = [Study(each).plan() for each in (before, after)]
    assert plans[0] == plans[1]
    specs = [catalogue.specs("tables", each) for each in (before, after)]
    assert {name for name in specs[0] if specs[0][name] != specs[1][name]} == {"known"}


def test_another_range_changes_the_measurements_alone():
    before, after = config(), config()
    after["published"][0] |= {"last": 1000, "predictions": 1000}
    plans = [Study(each).plan() for each in (before, after)]
    assert plans[0] != plans[1] and plans[0]["stamps"] == plans[1]["stamps"]


MISTAKES = [
    ({"method": "steaming-4+1020"}, "published[0].method: 'steaming' is not one of dense, lazy"),
    ({"measure": "ppl"}, "published[0].measure: 'ppl' is not one of nll, perplexity (Mean NLL"),
    ({"first": 2000}, "published[0].first: 2000 is more than last (1024)"),
    ({"first": 0}, "published[0].first: 0 is less than 1 (First token predicted"),
    ({"tolerance": 0}, "published[0].tolerance: 0 is not more than 0 (Largest difference"),
    ({"tolerance": -0.1}, "published[0].tolerance: -0.1 is not more than 0 (Largest difference"),
    ({"value": 0}, "published[0].value: 0 is not more than 0 (The figure)"),
    (
        {"first": 1025, "last": 2048},
        "published[1].method: streaming-4+1020 has the figure of published[0] again",
    ),
    ({"note": "x"}, "published[0]: unknown key note; allowed: model, text"),
    ({"why_not": "x"}, "published[0].corpus: needed, or why_not in its place; one of the two"),
    ({"source": None}, "published[0].source: null is not text (Address"),
]


@pytest.mark.parametrize(("change", "expected"), MISTAKES)
def test_a_bad_row_is_one_line(change, expected):
    bad = config()
    bad["published"][0] |= change
    with pytest.raises(UserError) as caught:
        read_study(bad, SCHEMA, [str(STUDIES / "known.yaml")])
    assert f": {expected}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_row_needs_its_source_and_a_corpus_or_a_reason():
    for key, expected in (("source", "missing source"), ("corpus", "corpus: needed, or why_not")):
        bad = config()
        del bad["published"][0][key]
        with pytest.raises(UserError, match=expected):
            read_study(bad, SCHEMA, [str(STUDIES / "known.yaml")])


def test_the_table_needs_figures():
    bad = config()
    del bad["published"]
    with pytest.raises(UserError, match="tables: known needs the key published"):
        read_study(bad, SCHEMA, [str(STUDIES / "known.yaml")])
