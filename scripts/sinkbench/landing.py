"""The first page of the report: what was asked, what was found, and where to look next (reStructuredText)."""

from collections.abc import Iterator
from contextlib import suppress

import pandas as pd

from sinkbench.brief import unjudged
from sinkbench.cells import Estimate, estimate
from sinkbench.claims import judge
from sinkbench.readings import (
    NotMeasured,
    corpora,
    fastest,
    full_budget,
    is_disturbed,
    matching,
    method_of,
    run_name,
    single_stream,
    statuses,
    usable,
)
from sinkbench.tables import headline
from sinkbench.tradeoff import tradeoff

QUESTION = (
    "Which cache policy, number format and decode engine buys the best perplexity for its time per token?"
)
HEADLINE_COLUMNS = ("Run", "Corpus", "Perplexity", "Change [%]", "TPOT [ms]", "Speed-up [x]", "Status")
DAGGER_NOTE = "Dagger: something disturbed the device meanwhile; the status says what."
SUMMARY_NOTE = (
    "Each perplexity is over the positions that its method scores (dense: the first ones of a document; "
    "recompute: a sample), so compare methods by the change, which is over the positions that both score."
)
# Snakemake's report makes this page narrow, and centres it so that the top of a long one is out of reach.
STYLE = """.. raw:: html

   <style>
   .items-center.overflow-auto { align-items: safe center; }
   .prose.max-w-lg { max-width: 44rem; }
   </style>"""


def page(measurements: pd.DataFrame, facts: dict) -> str:
    """The page. Every number on it comes from the measurements, every name from the config.

    Args:
        facts: catalogue.landing_facts().
    """
    sections = (
        _heading(QUESTION, "="),
        STYLE,
        _question(measurements, facts),
        _heading("What was found", "-"),
        *_bullets(_findings(measurements)),
        _heading("At the full budget", "-"),
        _list_table(_summary(measurements)),
        *([SUMMARY_NOTE] if corpora(measurements) else []),
        *([DAGGER_NOTE] if any(map(is_disturbed, measurements.to_dict("records"))) else []),
        _heading("Verdict on the claims", "-"),
        *_verdicts(measurements, facts["claims"]),
        _heading("Where to look next", "-"),
        *_links(facts),
    )
    # Snakemake renders the page through Jinja2: nothing on it is a template.
    return "{% raw %}\n" + "\n\n".join(sections) + "\n{% endraw %}\n"


def _question(measurements: pd.DataFrame, facts: dict) -> str:
    devices = ", ".join(measurements["device"].unique())
    texts = "; ".join(facts["corpora"])
    return _escape(
        f"One token at a time, over texts far longer than the model was trained on. Study: {facts['study']}. "
        f"Model: {facts['model']}. Text: {texts}. Measured on: {devices}."
    )


def _findings(measurements: pd.DataFrame) -> Iterator[str]:
    with suppress(NotMeasured):  # a study may leave streaming out
        yield from _main_result(measurements)
    for corpus in corpora(measurements):
        with suppress(NotMeasured):  # no trade-off to report if only quality was measured
            yield _best(measurements, corpus)
    for name, status in statuses(measurements).items():
        yield f"{name} gave no number: {status.rstrip('.')}."


def _best(measurements: pd.DataFrame, corpus: str) -> str:
    found = tradeoff(measurements, corpus)
    best = (
        f"{run_name(row)} (perplexity {perplexity.number} at {tpot.number} ms)"
        for row, tpot, perplexity in sorted(found.points, key=lambda point: point[1].value)
        if row in found.frontier
    )
    return f"On {corpus} no other run beats these in both perplexity and time per token: {', '.join(best)}."


def _main_result(measurements: pd.DataFrame) -> Iterator[str]:
    """What StreamingLLM at the full budget reaches and costs, as far as it was measured."""
    name = method_of(measurements, "streaming", budget=full_budget(measurements))
    own = single_stream(usable(measurements[measurements["method"] == name]))
    own = own[own["document"].isna()]
    for row in matching(own, metric="perplexity").to_dict("records"):
        sentence = (
            f"StreamingLLM at its full budget ({name}) has perplexity {estimate(row)} on {row['corpus']}"
        )
        for change in matching(own, metric="perplexity_change", corpus=row["corpus"]).to_dict("records"):
            sentence += f", {estimate(change, '+z.2f', unit='%')} against {change['against']}"
        yield f"{sentence}."
    if len(times := matching(own, metric="tpot_ms")):
        yield _time(own, fastest(times))


def _time(own: pd.DataFrame, row: dict) -> str:
    """What a run of the method takes, and its speed-ups, of the rows `own` of that method."""
    sentence = (
        f"{run_name(row)} takes {estimate(row, unit='ms')} per token at {row['kind']} {row['position']:,}"
    )
    speedups = matching(own, metric="speedup", engine=row["engine"], position=row["position"])
    for speedup in speedups.to_dict("records"):
        sentence += f", {estimate(speedup, unit='times')} the speed of {speedup['against']}"
    return f"{sentence}."


def _summary(measurements: pd.DataFrame) -> pd.DataFrame:
    """The headline in short: no intervals, and of the bounded caches only those of the largest budget."""
    budgets = measurements["budget"]
    largest = measurements[budgets.isna() | (budgets == budgets.max()).fillna(False)]
    table = headline.build(largest, {})
    return table[[name for name in HEADLINE_COLUMNS if name in table]].map(_brief)


def _brief(cell: Estimate | str) -> str:
    return f"{cell.number} {cell.note}".strip() if isinstance(cell, Estimate) else cell


def _verdicts(measurements: pd.DataFrame, claims: list[str]) -> Iterator[str]:
    for verdict in (judge(word, measurements) for word in claims):
        measured = f" Measured: {verdict.measured}." if verdict.measured else ""
        yield f"- **{verdict.verdict}**: " + _escape(f"{verdict.claim} ({verdict.threshold}).{measured}")
    yield _escape(f"{len(unjudged())} more claims of the brief are not measured in this study.")


def _links(facts: dict) -> Iterator[str]:
    for title, name in facts["links"].items():
        yield f"- `{name}`_: {_escape(title)}"


def _bullets(sentences) -> list[str]:
    return [f"- {_escape(sentence)}" for sentence in sentences]


def _heading(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}"


def _list_table(table: pd.DataFrame) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [list(table), *table.to_numpy().tolist()]:
        cells = [f"- {_escape(cell)}".rstrip() for cell in row]
        lines += [f"   * {cells[0]}", *(f"     {cell}" for cell in cells[1:])]
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Text without meaning to reStructuredText."""
    for character in "\\`*|_":
        text = text.replace(character, f"\\{character}")
    return text
