"""Names, statuses and config strings from outside stay text, in whatever reads them."""

import html
import re

import pandas as pd
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from sinkbench import registry
from sinkbench.analysis.estimate import Estimate
from sinkbench.report import catalogue, rst
from sinkbench.report.figures import _style
from sinkbench.report.pages import landing
from snakemake_report import SECRET, shown
from synthetic import FIELDS

HOSTILE = [
    "{% endraw %}{{ 7 * 70000 }}{% raw %}",
    "{{ snakemake.config }} {# gone #} {% if true %}x{% endif %} {{{ '{' }}}",
    "a\n\n.. include:: /etc/hostname\n\n",
    "a\r.. raw:: html\r\r   <script>alert(1)</script>\r\r",
    "a\N{LINE SEPARATOR}\N{LINE SEPARATOR}.. raw:: html\x0b\x0b   <script>alert(1)</script>\x85",
    ".. raw:: html",
    "<script>alert(1)</script> `b <javascript:alert(1)>`__ :raw:`c` javascript:alert(1) d@e.org",
    "Workflow_ `Workflow`_ __anonymous__ |x| [1]_ *b* **b** ``c`` \\",
    "1. one",
    "* one",
    "======",
    ":field: x",
    "| line",
    ">>> print(1)",
    "&lt;b&gt; &#60; [a](javascript:b) ![c](d)",
    "$x$ ^^M \\input{/etc/passwd} & % # ~ _ {} \\\\",
]
FACTS = {"study": "demo", "claims": FIELDS["claims"], "corpora": {"stdlib": "stdlib"}, "model": "m"}
FACTS |= {"links": {"1 Findings": {"Findings": "findings.html"}}, "headline_figure": "Title"}


def one_line(text: str) -> str:
    return " ".join(text.split())


def words(page: str) -> str:
    """What a reader of HTML reads."""
    return one_line(html.unescape(re.sub("<[^>]*>", "", page)))


def assert_is_text(page: str, hostile: str) -> None:
    """The page shows it and obeys nothing of it."""
    assert one_line(hostile) in words(page)
    assert "system-message" not in page and "<script" not in page and SECRET not in page
    links = re.findall('href="([^"]*)"', page)
    assert all(link.startswith("javascript:app.showResultInfo") for link in links)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_first_page_shows_a_config_string_as_text(hostile):
    facts = FACTS | {
        "model": hostile,
        "corpora": {"c": catalogue._corpus({"name": "c", "kind": "files", "glob": hostile})},
    }
    page = shown(landing.page(synthetic.measurements(), facts, None), "findings.html")
    assert_is_text(page, hostile)
    assert words(page).count(one_line(hostile)) == 2


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_first_page_shows_the_name_of_a_document_as_text(hostile):
    status = f"invalid: 3 NLLs are NaN or infinite, the first in {hostile} at position 77"
    frame = synthetic.measurements(failed={"streaming-4+252": status})
    page = shown(landing.page(frame, FACTS, None), "findings.html")
    assert_is_text(page, status)
    status = f"{hostile}"  # of an error that begins with it
    frame = synthetic.measurements(failed={"streaming-4+252": f"unavailable: {status}"})
    assert_is_text(shown(landing.page(frame, FACTS, None), "findings.html"), status.rstrip("."))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_caption_is_text(hostile):
    assert_is_text(shown(rst.caption(hostile)), hostile)


@given(
    st.text(st.one_of(st.sampled_from("{}%#'\"\\\n"), st.characters(exclude_categories=["Cs"])), max_size=30)
)
def test_any_source_comes_out_of_a_template_as_it_went_in(source):
    from jinja2 import Environment

    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    rendered = environment.from_string(rst.template(source)).render()
    assert rendered == re.sub("\r\n|\r|\n", "\n", source)


def table(hostile: str, ending: str) -> str:
    """A table with the text wherever a table of the study may hold one: in a heading, a cell and a status."""
    frame = pd.DataFrame({hostile: [hostile, "b"], "Number": [Estimate(1.5), ""], "Status": [hostile, ""]})
    return registry.load("report/formats", ending).render(frame, "Title", "Caption.")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_markdown_table_shows_it_as_text(hostile):
    lines = table(hostile, "md").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 4 and len(lines) == 10
    for row in rows:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    bare = re.sub(r"\\[^a-zA-Z0-9\s]|</?sup>", "", "\n".join(lines))
    assert not re.search(r"[<`*_$~]|&[#\w]+;|\]\(", bare)
    assert one_line(hostile) in re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", rows[2])


@pytest.mark.parametrize("hostile", [*HOSTILE, "[a]", "[2pt]b", "*"])
def test_a_latex_table_shows_it_as_text(hostile):
    text = table(hostile, "tex")
    known = "begin|end|caption|centering|footnotesize|resizebox|ifdim|width|linewidth|else|fi|toprule|midrule"
    known += "|addlinespace|bottomrule|raggedright|scriptsize|par|textsuperscript|usepackage"
    commands = set(re.findall(r"\\([a-zA-Z]+)", text)) - set(known.split("|"))
    assert commands <= {"textbackslash", "textasciitilde", "textasciicircum"}
    for line in text.splitlines()[1:]:
        assert line and not line.startswith(("[", "*"))
        assert line.endswith("{%") or not re.search(r"(?<!\\)[%#]", line)


def test_a_figure_draws_the_name_of_a_document_as_text(tmp_path):
    """A pair of dollars is a formula to matplotlib, and one that is wrong an error."""
    frame = synthetic.measurements(refresh=True)
    frame["document"] = frame["document"].replace("turtle", r"$\frac$ {}_")
    figure = _style.draw(registry.load("report/figures", "recovered"), frame, FIELDS)
    _style.save(figure, "Title", tmp_path / "figure.svg")
