"""What a study found: sentences for each step of its argument, with numbers of the measurements alone."""

from collections.abc import Iterator
from contextlib import suppress

import pandas as pd

from sinkbench.analysis.claims import NOT_MEASURED, NOT_YET, ON_A_GPU, UNTESTABLE, judge
from sinkbench.analysis.estimate import estimate
from sinkbench.analysis.recommend import MOST_GAP, baseline, by_target, by_time
from sinkbench.analysis.select import (
    NotMeasured,
    corpora,
    fastest,
    full_budget,
    matching,
    method_of,
    run_name,
    single_stream,
    usable,
)
from sinkbench.report.pages._html import sentence_case

NAMED = 6  # documents of a corpus, at most, that are called by their names
EXACT = f"of engines whose NLLs lie within {MOST_GAP:g} nats of the exact evaluator's"


def sentences(measurements: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """(step of the argument, its sentences) of each step that the study measured something of."""
    for step, say in STEPS.items():
        with suppress(NotMeasured):  # a study may leave any of them out
            if found := list(say(measurements)):
                yield step, [f"{sentence_case(sentence)}." for sentence in found]


def texts(measurements: pd.DataFrame, described: dict[str, str]) -> str:
    """The corpora as the config describes them, each with the documents that were read of it.

    Args:
        described: by name (catalogue.findings_spec).
    """
    return "; ".join(f"{text}{_read(measurements, name)}" for name, text in described.items())


def _read(measurements: pd.DataFrame, corpus: str) -> str:
    """What was read of a corpus, by name where that is short; nothing where no perplexity was measured."""
    names = matching(measurements, corpus=corpus, metric="perplexity")["document"].dropna().unique()
    if len(names) > NAMED:
        return f", {len(names)} documents"
    return f", documents {', '.join(names)}" if len(names) else ""


def _baselines(measurements: pd.DataFrame) -> Iterator[str]:
    yield from _measured(measurements, "explosion", "beyond the trained length perplexity changes: ")
    yield from _measured(measurements, "sinks", "without attention sinks perplexity changes: ")


def _streaming(measurements: pd.DataFrame) -> Iterator[str]:
    """What StreamingLLM at the full budget reaches, and whether its time grows, as far as it was measured."""
    name, own = _full_budget(measurements)
    for row in matching(own, metric="perplexity").to_dict("records"):
        part = f"{name} has perplexity {estimate(row)} on {row['corpus']}"
        for change in matching(own, metric="perplexity_change", corpus=row["corpus"]).to_dict("records"):
            part += f", {estimate(change, '+z.2f', unit='%')} against {change['against']}"
        yield part
    yield from _measured(measurements, "flatness", "time per token changes along the stream: ")


def _engine(measurements: pd.DataFrame) -> Iterator[str]:
    """What the fastest run at the full budget takes, and its speed-ups."""
    _, own = _full_budget(measurements)
    if (times := matching(own, metric="tpot_ms")).empty:
        return
    row = fastest(times)
    where = f"{row['position_kind']} {row['position']:,}"
    part = f"{run_name(row)} takes {estimate(row, unit='ms')} per token at {where}"
    speedups = matching(own, metric="speedup", engine=row["engine"], position=row["position"])
    for speedup in speedups.to_dict("records"):
        part += f", {estimate(speedup, unit='times')} the speed of {speedup['against']}"
    yield part


def _refresh(measurements: pd.DataFrame) -> Iterator[str]:
    yield from _measured(
        measurements, "refresh", "the best refreshed cache of a small budget changes perplexity: "
    )


def _choice(measurements: pd.DataFrame) -> Iterator[str]:
    """The fastest combination within the tightest target that a run meets; without perplexities, of all.

    Only engines that compute what was scored are meant (recommend.MOST_GAP).
    """
    names = corpora(measurements)
    for corpus in names:
        *targets, _ = by_target(measurements, corpus).to_dict("records")
        for row in [row for row in targets if row["Policy"]][:1]:
            against = f"the perplexity of {baseline(measurements, corpus)} on {corpus}"
            yield f"fastest {row['Perplexity']} of {against}, {EXACT}: {_chosen(row)}"
    if not names:
        for row in by_time(measurements).to_dict("records")[:1]:
            yield f"fastest at any perplexity, {EXACT}: {_chosen(row)}"


def _chosen(row: dict) -> str:
    """The combination with its time, and where perplexities were measured its change and the remark on it."""
    time = row["TPOT [ms]"]
    said = (
        f"{row['Policy']} with {row['Weights']} weights on {row['Engine']}, {time.number} ms {time.interval} "
        f"per token {time.note}"
    )
    if change := row.get("Change [%]"):
        said += f", {change} perplexity"
    return said + (f"; {remark}" if (remark := row.get("Remark")) else "")


def _full_budget(measurements: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """(StreamingLLM's method at the full budget, its rows of single streams over all documents)."""
    name = method_of(measurements, "streaming", budget=full_budget(measurements))
    own = single_stream(usable(measurements[measurements["method"] == name]))
    return name, own[own["document"].isna()]


def _measured(measurements: pd.DataFrame, claim: str, lead: str) -> Iterator[str]:
    """What was measured for a claim, if anything was: a sentence for each finding."""
    verdict = judge(claim, measurements)
    if verdict.verdict not in (NOT_MEASURED, NOT_YET, UNTESTABLE, ON_A_GPU):
        yield from (lead + finding for finding in verdict.measured.split("; "))


STEPS = {
    "Baselines": _baselines,
    "Streaming": _streaming,
    "Engine": _engine,
    "RefreshLite": _refresh,
    "Choice": _choice,
}
