"""Tables and figures go into a minimal article, where LaTeX is installed."""

import shutil
import subprocess

import pandas as pd
import pytest
import synthetic
from sinkbench import registry
from sinkbench.analysis.estimate import Estimate
from sinkbench.report import formats
from sinkbench.report.figures import _style
from synthetic import FIELDS

LATEX = shutil.which("pdflatex")
ALL = {"refresh": True, "ablations": True, "drafts": True, "quantized": True, "ladder": True}
STATUS = r"unavailable: C:\path & 100 % of {x}_y^2 ~ #1 <a> $b"
ARTICLE = r"""\documentclass{article}
\usepackage{booktabs,graphicx}
\begin{document}
BODY
\end{document}
"""


def compiled(body: list[str], folder) -> str:
    """What LaTeX says of an article with this body; it must not stop."""
    (folder / "article.tex").write_text(ARTICLE.replace("BODY", "\n\\clearpage\n".join(body)))
    command = [LATEX, "-halt-on-error", "-interaction=nonstopmode", "article.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def measurements():
    return synthetic.measurements(
        **ALL, busy=("streaming-4+508.fused",), failed={"streaming-4+508.eager_flash": STATUS}
    )


@pytest.mark.slow
@pytest.mark.skipif(not LATEX, reason="no pdflatex is installed: whether the article compiles is not tested")
def test_all_tables_and_figures_compile_in_an_article(measurements, tmp_path):
    body = []
    for word in registry.available("report/tables"):
        module = registry.load("report/tables", word)
        formats.write(tmp_path / f"{word}.tex", module.build(measurements, FIELDS), module.TITLE, "50 %")
        body.append(rf"\input{{{word}.tex}}")
    for word in registry.available("report/figures"):  # as large as the text
        _style.save(
            _style.draw(registry.load("report/figures", word), measurements, FIELDS),
            word,
            tmp_path / f"{word}-f.pdf",
        )
        body.append(rf"\noindent\includegraphics[width=\linewidth]{{{word}-f.pdf}}")
    said = compiled(body, tmp_path)
    assert "Missing character" not in said and "Overfull" not in said
    assert f"({len(body)} pages" in said


def test_an_interval_and_a_note_go_below_their_number():
    cells = [Estimate(1.5, 1.25, 1.75, mark="\N{DAGGER}", note="against a_b"), "all", ""]
    text = registry.load("report/formats", "tex").render(
        pd.DataFrame({"Run": list("abc"), "N [%]": cells}), "T", "C"
    )
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows[:2] == [r"Run & N [\%] \\", "a & 1.50\\rlap{\N{DAGGER}} \\\\"]
    assert rows[2:4] == [r" & \scriptsize [1.25, 1.75] \\", r" & \scriptsize against a\_b \\"]
    assert rows[4:] == [r"b & all \\", r"c &  \\"]
