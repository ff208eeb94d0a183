"""The report's first page: the question, its figure, what was found, where to look (reStructuredText)."""

from base64 import encodebytes
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from textwrap import indent

import pandas as pd

from sinkbench.analysis.claims import judge
from sinkbench.analysis.estimate import DAGGER_NOTE
from sinkbench.analysis.select import is_disturbed, statuses
from sinkbench.artifacts.parquet import read_table
from sinkbench.report.pages.summary import sentences, texts
from sinkbench.report.rst import plain, template

QUESTION = (
    "Which cache policy, number format and decode engine buys the best perplexity for its time per token?"
)


def render(results: Path, spec: dict) -> str:
    """The page of a study's folder of results; `spec` is catalogue.landing_spec()."""
    measurements, _ = read_table(results / "measurements.parquet")
    figures = [(results / f"figures/{name}.svg").read_bytes() for name in spec["figures"]]
    return page(measurements, spec, *figures or [None])


def page(measurements: pd.DataFrame, facts: dict, figure: bytes | None) -> str:
    """The page. Every number on it comes from the measurements, every name from the config.

    Args:
        facts: catalogue.landing_spec().
        figure: the headline figure as SVG; None in a study without figures.
    """
    sections = (
        _heading(QUESTION, "="),
        _question(measurements, facts),
        *([] if figure is None else [_figure(figure, facts["headline_figure"])]),
        _heading("What was found", "-"),
        *(_step(step, found) for step, found in sentences(measurements)),
        *([DAGGER_NOTE] if any(map(is_disturbed, measurements.to_dict("records"))) else []),
        _claims(measurements, facts["claims"]),
        *_without_number(measurements),
        _heading("Where to look next", "-"),
        *_links(facts),
    )
    return template("\n\n".join(sections) + "\n")


def _question(measurements: pd.DataFrame, facts: dict) -> str:
    devices = ", ".join(measurements["device"].unique())
    read = f" Text: {texts(measurements, facts['corpora'])}." if facts["corpora"] else ""
    return plain(
        f"One token at a time, over texts far longer than the model was trained on. Study: {facts['study']}. "
        f"Model: {facts['model']}.{read} Measured on: {devices}."
    )


def _step(step: str, found: list[str]) -> str:
    """A step of the argument with what was found below."""
    return "\n\n".join([f"- **{step}**", *(f"  - {plain(sentence)}" for sentence in found)])


def _figure(svg: bytes, title: str) -> str:
    """The figure as an image, so that its styles stay its own; in lines, since docutils refuses long ones."""
    source = f"data:image/svg+xml;base64,\n{encodebytes(svg).decode()}"
    return ".. raw:: html\n\n" + indent(f'<figure><img alt="{escape(title)}" src="{source}"></figure>', "   ")


def _claims(measurements: pd.DataFrame, words: list[str]) -> str:
    """How many claims came out how."""
    verdicts = [judge(word, measurements) for word in words]
    counts = Counter(verdict.verdict for verdict in verdicts).most_common()
    listed = "; ".join(f"{count} {verdict}" for verdict, count in counts)
    return plain(f"{len(verdicts)} claims under test: {listed}.")


def _without_number(measurements: pd.DataFrame) -> Iterator[str]:
    failed = statuses(measurements)
    if failed:
        yield _heading("What gave no number", "-")
    for name, status in failed.items():
        yield f"- {plain(name)}: {plain(status.rstrip('.'))}."


def _links(facts: dict) -> Iterator[str]:
    """What the report shows, by category; the targets are those that Snakemake makes of the files' names."""
    for category, shown in facts["links"].items():
        links = ", ".join(f"`{plain(title)} <{name}_>`__" for title, name in shown.items())
        yield f"- **{category}**: {links}"


def _heading(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}"
