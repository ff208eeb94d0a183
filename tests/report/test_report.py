"""The report's first page and its order: what is said comes from the measurements, and the page is valid."""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml
from sinkbench import registry
from sinkbench.analysis.recommend import MOST_GAP
from sinkbench.report import catalogue
from sinkbench.report.pages import gpu_reference, landing, provenance
from sinkbench.report.pages.summary import STEPS, sentences
from snakemake_report import shown
from synthetic import FIELDS, SCHEMA

CONFIG = yaml.safe_load((SCHEMA.parent.parent.parent / "config.yaml").read_text())
FACTS = {"study": "demo", "model": "m", "corpora": {"stdlib": "stdlib"}, "claims": FIELDS["claims"]}
FACTS |= {"links": {"1 Findings": {"Findings": "findings.html"}}, "headline_figure": "Title"}
SVG = b"<svg>" + b"x" * 40_000 + b"</svg>"
ALL = {"refresh": True, "quantized": True, "ladder": True}


def page(frame=None, figure=SVG, **facts) -> str:
    return landing.page(synthetic.measurements(**ALL) if frame is None else frame, FACTS | facts, figure)


@pytest.mark.parametrize("figure", [SVG, None])
def test_docutils_reads_the_page_without_complaint(figure):
    html = shown(page(figure=figure, model="a*b_ `c` <d>"), "findings.html")
    assert "System Message" not in html and "system-message" not in html
    assert landing.QUESTION in html and "a*b_ `c` &lt;d&gt;" in html
    assert html.count("<a ") == 1
    assert ("data:image/svg+xml" in html) == (figure is not None)


def test_a_study_of_everything_finds_sentences_for_each_step():
    found = list(sentences(synthetic.measurements(**ALL)))
    assert [step for step, _ in found] == list(STEPS)
    for sentence in (sentence for _, step in found for sentence in step):
        assert sentence.endswith(".") and ";" not in sentence and sentence[0] == sentence[0].upper()


def test_a_study_of_times_says_nothing_of_perplexity():
    steps = dict(sentences(synthetic.measurements(quality=False, ladder=True)))
    assert set(steps) == {"Streaming", "Engine", "Choice"}
    said = " ".join(sentence for found in steps.values() for sentence in found)
    assert " ms" in steps["Engine"][0] and "has perplexity" not in said


def test_no_number_of_a_sentence_is_typed():
    """What was typed would be in the sentences about any measurements."""
    frame, draw = synthetic.measurements(**ALL), np.random.default_rng(0)
    found = []
    for _ in range(4):
        factors = draw.uniform(0.5, 2.0, len(frame))
        drawn = frame.assign(**{name: frame[name] * factors for name in ("value", "low", "high")})
        said = " ".join(sentence for _, step in sentences(drawn) for sentence in step)
        found.append(set(re.findall(r"\d+\.\d\d+", said)))
        assert len(found[-1]) > len(STEPS)
    bound = f"{MOST_GAP:g}"  # what a choice must satisfy, and no measurement
    assert not set.intersection(*found) - {bound, "0.00"}  # nothing times a factor is nothing


def test_a_dagger_and_a_status_are_on_the_page():
    text = page(synthetic.measurements(ladder=True, busy=("streaming-4+508.fused",)))
    assert "0.60\N{DAGGER} ms" in text and "Dagger" in text
    assert "Dagger" not in page()
    assert "no room" in page(synthetic.measurements(failed={"dense.hf": "unavailable: no room"}))


def test_the_menu_follows_the_argument_and_links_all_that_is_shown():
    facts = catalogue.landing_spec(CONFIG)
    assert all(one < other for one, other in pairwise(facts["links"]))
    words = [name.split(" ", 1)[1] for name in facts["links"]]
    assert words == list(catalogue.CATEGORIES.values())
    files = [file for shown in facts["links"].values() for file in shown.values()]
    expected = len(CONFIG["tables"]) + len(CONFIG["figures"]) + len(catalogue.pages_of(CONFIG))
    assert len(files) == len(set(files)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"source": "package", "requirement": "lab-tiny==1.0", "file": "lab/Tiny-1M-Chat.Q4_1.gguf"},
            "Tiny-1M-Chat, weights dequantised from Q4_1 (lab/Tiny-1M-Chat.Q4_1.gguf of the package "
            "lab-tiny==1.0), as float32",
        ),
        (
            {"source": "gguf", "path": "~/tiny-iq4_xs.gguf"},
            "tiny, weights dequantised from IQ4_XS (~/tiny-iq4_xs.gguf), as float32",
        ),
        ({"source": "gguf", "path": "tiny.gguf"}, "tiny (tiny.gguf), as float32"),
    ],
)
def test_a_gguf_file_is_called_what_it_is(source, expected):
    model = source | {"sha256": "a" * 64, "dtype": "float32"}
    assert catalogue.landing_spec(CONFIG | {"model": model})["model"] == expected


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_everything_has_a_place_in_the_report(kind):
    names = {catalogue.menu_entry(word) for word in catalogue.CATEGORIES}
    assert {catalogue.category(kind, word) for word in registry.available(catalogue.FOLDERS[kind])} <= names


def test_the_page_of_provenance_says_what_the_record_says():
    record = {
        "sources": {"model": {"path": "<p>", "dtype": "float32"}, "draft": None},
        "statistics": {"seed": 0, "confidence": 0.95},
        "self_checks": {"model": "mean NLL 3.2711 here"},
        "converted_from": {"draft": "Tiny, llama; tensors: 16 of Q8_0"},
        "environments": [{"torch": "2.13", "dirty": False, "jobs": ["quality a", "speed b"]}],
        "inputs": [{"tokens": "b96f", "jobs": ["speed b"]}],
    }
    text = provenance.page(record, "demo")
    for said in (
        "path &lt;p&gt;, dtype float32",
        "unknown",
        "0.95",
        "2.13",
        "no<",
        "b96f",
        "2 jobs",
        "model",
        "3.2711 here",
        "Converted from gguf files",
        "16 of Q8_0",
    ):
        assert said in text


ROOT = SCHEMA.parent.parent.parent
REFERENCE = ROOT / "docs/reference/latency"


@pytest.mark.parametrize("speedup", ["Speed-up [x]", "Speed-up over dense.hf_static [x]"])
def test_the_reference_of_a_gpu_is_labelled_and_its_numbers_are_those_of_its_files(tmp_path, speedup):
    for path in REFERENCE.glob("*.*"):
        (tmp_path / path.name).write_text(path.read_text().replace("Speed-up [x]", speedup))
    text = gpu_reference.page(tmp_path)
    record = json.loads((REFERENCE / "environment.json").read_text())
    assert f"Reference measured on one {record['environments'][0]['device']} with random weights" in text
    assert all(each["commit"][:7] in text for each in record["environments"])
    ladder = pd.read_csv(tmp_path / "ladder.csv")
    values = re.findall('data-value="([^"]*)"', text)
    headings = ("TPOT [ms]", "Floor [ms]", "MBU [%]", speedup)
    expected = pd.concat([ladder[heading].dropna() for heading in headings])
    assert sorted(map(float, values)) == sorted(expected)


def test_the_page_of_a_gpu_has_the_strongest_baseline_and_says_that_its_code_was_changed():
    text = gpu_reference.page(ROOT / catalogue.REFERENCE)
    record = json.loads((ROOT / catalogue.REFERENCE / "environment.json").read_text())
    assert "hf_static" in text and "Speed-up over dense.hf_static" in text
    assert ("with changes" in text) == any(each["dirty"] for each in record["environments"])


@pytest.mark.parametrize("folder", [REFERENCE, ROOT / catalogue.REFERENCE])
def test_the_reference_of_a_gpu_is_one_file_with_its_figure_in_it(folder):
    text = gpu_reference.page(folder)
    assert text.count("<svg") == 1 and "<?xml" not in text and text.count("<!DOCTYPE") == 1
    assert not re.search(r"""<(img|script|link)[^>]*(src|href)=""", text)


def test_words_that_a_reference_uses_and_that_are_others_today_are_told(tmp_path):
    for path in REFERENCE.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    ladder = tmp_path / "ladder.csv"
    for name, said in (("dense,stock_flash", True), ("dense,hf_flash", False)):
        header, *rows = (REFERENCE / "ladder.csv").read_text().splitlines()
        ladder.write_text("\n".join([header, name + rows[0][rows[0].index(",1,") :]]) + "\n")
        assert ("stock is hf today" in gpu_reference.page(tmp_path)) == said
