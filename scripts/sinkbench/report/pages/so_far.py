"""The report of a study that is not complete: what is there, what was found in it, and what is to come."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from sinkbench.artifacts.parquet import read_table
from sinkbench.report.pages._html import document, paragraph
from sinkbench.report.pages.summary import sentences
from sinkbench.results.schema import PENDING

TITLE = "Results so far"
KINDS = {
    "self_check": "self-checks",
    "nll": "perplexities",
    "speed": "timings",
    "profile": "profiles",
    "recall": "recalls",
    "sinks": "shares of attention",
    "continuations": "continuations",
}  # what a job gives, by its folder
STYLE = """
figure { margin: 1rem 0; max-width: 46rem; break-inside: avoid; }
figure img { width: 100%; height: auto; }
figcaption { color: #444; font-size: .93em; }
li { max-width: 80ch; overflow-wrap: anywhere; }
"""


def render(results: Path, spec: dict) -> str:
    """The page.

    Args:
        results: the folder of the measurements and of all that the page leads to.
        spec: study; shown, titles by file; jobs and pending, (folder, name) of what is planned and lacking.
    """
    measurements, _ = read_table(results / "measurements.parquet")
    images = {file: title for file, title in spec["shown"].items() if file.endswith(".svg")}
    links = {file: title for file, title in spec["shown"].items() if file not in images}
    body = [
        "<main>",
        paragraph(_about(spec)),
        "<h2>What was found so far</h2>",
        *(_found(step, said) for step, said in sentences(measurements)),
        "<h2>Tables and pages</h2>",
        _list(f'<a href="{escape(file)}">{escape(title)}</a>' for file, title in links.items()),
        "<h2>Figures</h2>",
        *(_figure(file, title) for file, title in images.items()),
        f"<h2>{PENDING.capitalize()}</h2>",
        *_pending(spec),
        "</main>",
    ]
    return document(f"{TITLE}: {spec['study']}", "\n".join(body), STYLE)


def _about(spec: dict) -> str:
    done = len(spec["jobs"]) - len(spec["pending"])
    return (
        f"{done:,} of {len(spec['jobs']):,} planned results are there. A table, figure or claim says "
        f'"{PENDING}" where its numbers are to come. Verdicts, intervals and choices rest on what is there, '
        "and may change with the rest."
    )


def _found(step: str, said: list[str]) -> str:
    return f"<h3>{escape(step)}</h3>{_list(map(escape, said))}"


def _figure(file: str, title: str) -> str:
    words = escape(title)
    return f'<figure><img alt="{words}" src="{escape(file)}"><figcaption>{words}</figcaption></figure>'


def _pending(spec: dict) -> Iterator[str]:
    """Of each kind how much is to come, and its names."""
    for folder, words in KINDS.items():
        planned = [name for kind, name in spec["jobs"] if kind == folder]
        lacking = [name for kind, name in spec["pending"] if kind == folder]
        if planned:
            head = f"{len(lacking):,} of {len(planned):,} {words}"
            yield f"<details><summary>{head}</summary>{_list(map(escape, lacking))}</details>"


def _list(items: Iterator[str]) -> str:
    """A list of HTML; nothing if it is empty."""
    rows = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{rows}</ul>" if rows else ""
