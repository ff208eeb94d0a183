"""The findings page: which combination to use, and every claim under test beside its numbers."""

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from itertools import groupby
from pathlib import Path

import pandas as pd

from sinkbench.analysis.claims import Verdict, judge
from sinkbench.analysis.estimate import DAGGER_NOTE
from sinkbench.analysis.recommend import GAP_NOTE, baseline, by_target, by_time, inexact, left_out
from sinkbench.analysis.select import NotMeasured, corpora, devices, is_disturbed, is_partial
from sinkbench.artifacts.parquet import read_table
from sinkbench.report.formats._sortable import SCRIPT
from sinkbench.report.formats.html import table_element
from sinkbench.report.pages._html import document, paragraph, sentence_case
from sinkbench.report.pages.summary import texts

TITLE = "Findings"
STYLE = """
.scroll { margin: .75rem 0; }
h3 { margin: 1rem 0 .35rem; font-size: 1rem; overflow-wrap: anywhere; }
article h3 { margin-top: 0; }
p.verdict { margin: 0 0 .35rem; color: #1a1a1a; font-weight: 600; }
dd ul { margin: 0; padding-left: 1.1rem; }
@media print { section.claims { break-before: page; } }
"""
MADE = ("Measured", "Cause")  # from the measurements, joined by semicolons
RUN = ("Policy", "Weights", "Engine")  # headings that tell combinations apart
WIDER = " or wider"
NO_CAUSE = "This study has no measurement that explains it."


def render(results: Path, spec: dict) -> str:
    """The page of a study's folder of results; `spec` is catalogue.findings_spec()."""
    measurements, _ = read_table(results / "measurements.parquet")
    return page(measurements, spec)


def page(measurements: pd.DataFrame, facts: dict) -> str:
    """The page. Every number on it comes from the measurements, every name from the config.

    Args:
        facts: catalogue.findings_spec().
    """
    body = [
        "<main>",
        paragraph(_about(measurements, facts)),
        "<section>",
        "<h2>Which combination to use on this device</h2>",
        *_summary(measurements),
        "</section>",
        '<section class="claims">',
        *_claims(measurements, facts["claims"]),
        "</section>",
        "</main>",
    ]
    return document(f"{TITLE}: {facts['study']}", "\n".join(body), STYLE, SCRIPT)


def _about(measurements: pd.DataFrame, facts: dict) -> str:
    note = f" {DAGGER_NOTE}" if any(map(is_disturbed, measurements.to_dict("records"))) else ""
    return (
        f"Model: {facts['model']}. Text: {texts(measurements, facts['corpora'])}. Measured on: "
        f"{', '.join(devices(measurements))}. Brackets "
        f"are {facts['confidence']} % intervals. Those of perplexities are over blocks of "
        f"{facts['block_tokens']:,} tokens, those of times over {facts['repetitions']} repetitions of "
        f"{facts['steps']} steps. A verdict holds for this study's model, text and device.{note}"
    )


def _summary(measurements: pd.DataFrame) -> Iterator[str]:
    """The one-page summary: a table for each corpus, or one by time alone."""
    names = corpora(measurements)
    try:
        yield from _by_target(measurements, names) if names else _by_time(measurements)
    except NotMeasured:
        lack = "has not measured yet" if is_partial(measurements) else "did not measure"
        yield paragraph(f"This study {lack} what a choice needs: times, or perplexities beside them.")


def _by_target(measurements: pd.DataFrame, names: list[str]) -> Iterator[str]:
    yield paragraph(
        "Each row is the fastest combination of this study within a target of perplexity. Dense attention is "
        f"no choice: its cache grows with the stream. {GAP_NOTE}."
    )
    for corpus in names:
        yield f"<h3>{escape(f'On {corpus}, against {baseline(measurements, corpus)}')}</h3>"
        table = _without_repeats(by_target(measurements, corpus))
        yield table_element(table, f"Fastest for each target on {corpus}")
    yield from _inexact(measurements)
    if untimed := left_out(measurements):
        yield paragraph(f"Scored but not timed, and so no choice here: {', '.join(untimed)}.")


def _without_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Only the tightest of several targets that one run meets as the fastest."""
    rows = []
    for row in table.to_dict("records"):
        if rows and row["Policy"] and all(row[name] == rows[-1][name] for name in RUN):
            rows[-1]["Perplexity"] = f"{rows[-1]['Perplexity'].removesuffix(WIDER)}{WIDER}"
        else:
            rows.append(row)
    return pd.DataFrame(rows)


def _by_time(measurements: pd.DataFrame) -> Iterator[str]:
    yield paragraph(
        "This study measured no perplexity: no row says what a combination costs in quality. Each method is "
        f"on its fastest engine, the fastest method first. {GAP_NOTE}."
    )
    if len(table := by_time(measurements)):
        yield table_element(table, "Fastest runs")
    yield from _inexact(measurements)


def _inexact(measurements: pd.DataFrame) -> Iterator[str]:
    if far := inexact(measurements):
        listed = ", ".join(f"{name} ({gap})" for name, gap in far.items())
        yield paragraph(f"Timed but too far from the exact evaluator, and so no choice here: {listed}.")


def _claims(measurements: pd.DataFrame, words: list[str]) -> Iterator[str]:
    verdicts = [judge(word, measurements) for word in words]
    order = list(dict.fromkeys(verdict.technique for verdict in verdicts))
    verdicts.sort(key=lambda verdict: order.index(verdict.technique))
    for technique, group in groupby(verdicts, key=lambda verdict: verdict.technique):
        yield f"<h2>{escape(technique)}</h2>"
        yield from map(_article, group)


def _article(verdict: Verdict) -> str:
    """One claim: what was tested, what came out, and why."""
    explained = replace(verdict, cause=verdict.cause or (NO_CAUSE if verdict.measured else ""))
    entries = {
        "Experiment": explained.experiment,
        "Reproduced if": explained.threshold,
        "Measured": explained.measured,
        "Cause": explained.cause,
    }
    rows = "".join(f"<dt>{name}</dt><dd>{_entry(name, text)}</dd>" for name, text in entries.items() if text)
    return (
        f"<article><h3>{escape(verdict.claim)}</h3>"
        f'<p class="verdict">{escape(sentence_case(verdict.conclusion))}</p><dl>{rows}</dl></article>'
    )


def _entry(name: str, text: str) -> str:
    """A text, as a list where several things were measured."""
    parts = text.split("; ") if name in MADE else [text]
    if len(parts) == 1:
        return escape(text)
    return f"<ul>{''.join(f'<li>{escape(part)}</li>' for part in parts)}</ul>"
