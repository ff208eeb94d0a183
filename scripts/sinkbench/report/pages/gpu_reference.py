"""The question of a study on a CPU, answered on a GPU: the reference results that lie in docs/reference."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sinkbench.analysis.estimate import DAGGER, DAGGER_NOTE, Estimate, without_empty_columns
from sinkbench.artifacts.files import read_json
from sinkbench.report.formats import STATUS
from sinkbench.report.formats._sortable import SCRIPT
from sinkbench.report.formats.html import table_element
from sinkbench.report.pages._html import document, paragraph
from sinkbench.results.schema import DISTURBED

REPOSITORY = Path(__file__).parents[4]
TITLE = "The same question on a GPU"
STYLE = """
.scroll { margin: .75rem 0; }
.figure svg { display: block; width: 100%; min-width: 34rem; max-width: 46rem; height: auto; }
p.label { padding: .5rem .75rem; background: #fff4d6; color: #1a1a1a; }
"""
NAMES = ("Method", "Engine", "Batch", "Weights")
# Numbers of the ladder by their headings, with their formats; and how headings of speed-ups look.
NUMBERS = {"TPOT [ms]": ".2f", "Floor [ms]": ".2f", "MBU [%]": ".0f"}
SPEEDUP, SPEEDUP_SPEC = re.compile(r"Speed-up .*\[x\]"), ".1f"
# Words of older references: what engines and policies were called when they were measured.
RENAMED = {"stock": "hf", "reference": "paper", "copy": "repeat_lookup"}


def render(results: Path, spec: dict) -> str:
    """The page, whatever the study; `spec` is catalogue.gpu_reference_spec()."""
    return page(REPOSITORY / spec["folder"])


def page(folder: str | Path) -> str:
    """The page.

    Args:
        folder: of a reference, such as docs/reference/ladder: ladder.csv, roofline.svg, environment.json.
    """
    folder = Path(folder)
    ladder = pd.read_csv(folder / "ladder.csv", dtype=dict.fromkeys(NAMES, str), keep_default_na=False)
    body = [
        "<main>",
        f'<p class="label">{_label(read_json(folder / "environment.json"))}</p>',
        paragraph(
            "A CPU cannot say what CUDA graphs, compilers, attention kernels and packed weights are worth. "
            "This study proves that they run and score right. The times below are of another machine."
        ),
        *map(paragraph, _renamed(ladder)),
        "<h2>Time per token beside the memory-bandwidth floor</h2>",
        f'<div class="scroll figure" role="region" tabindex="0">{_svg(folder / "roofline.svg")}</div>',
        "<h2>The ladder of engines</h2>",
        table_element(_table(ladder), "The ladder of engines"),
        paragraph(
            "TPOT: time per output token. Floor: the bytes that a step must read, over the measured memory "
            f"bandwidth. MBU: floor over TPOT. Brackets are 95 % intervals. {DAGGER_NOTE}"
        ),
        "</main>",
    ]
    return document(TITLE, "\n".join(body), STYLE, SCRIPT)


def _label(record: dict) -> str:
    """Where the numbers come from: device, model and commits."""
    environments = record["environments"]
    devices = dict.fromkeys(each["device"] for each in environments)
    commits = dict.fromkeys(each["commit"][:7] + " with changes" * each["dirty"] for each in environments)
    return (
        f"Reference measured on one {' and one '.join(devices)} with random weights of Pythia-2.8b's shape, "
        f"at commit {' and '.join(commits)}: times, no perplexities."
    )


def _renamed(ladder: pd.DataFrame) -> Iterator[str]:
    """What is called otherwise today, if anything."""
    used = {re.split(r"[-_]", name)[0] for column in ("Method", "Engine") for name in ladder[column]}
    pairs = [f"{old} is {new} today" for old, new in RENAMED.items() if old in used]
    if pairs:
        yield f"Names are those of that commit: {', '.join(pairs)}."


def _svg(path: Path) -> str:
    """The figure as an element of a page: no XML declaration, no doctype, as large as its box."""
    element = path.read_text(encoding="utf-8")
    element = element[element.index("<svg") :]
    return re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)


def _table(ladder: pd.DataFrame) -> pd.DataFrame:
    """Names, numbers with their intervals, and statuses."""
    return without_empty_columns(pd.DataFrame([_row(row) for row in ladder.to_dict("records")]))


def _row(row: dict) -> dict:
    shown = NUMBERS | dict.fromkeys(filter(SPEEDUP.fullmatch, row), SPEEDUP_SPEC)
    numbers = {heading: _number(row, heading, spec) for heading, spec in shown.items()}
    return {**{name: row[name] for name in NAMES}, **numbers, STATUS: row.get(STATUS, "")}


def _number(row: dict, heading: str, spec: str) -> Estimate | str:
    if not row.get(heading):
        return ""
    ends = (row[f"{heading} {end}"] for end in ("low", "high"))  # a baseline over itself has none
    low, high = (float(end) if end else None for end in ends)
    mark = DAGGER if row.get(STATUS, "").startswith(DISTURBED) else ""
    return Estimate(float(row[heading]), low, high, spec, row.get(f"{heading} note", ""), mark=mark)
