"""Continuations of one prompt side by side, to be read: one column for each run, stretch below stretch."""

from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from sinkbench.artifacts.parquet import read_table
from sinkbench.artifacts.tokenizer_file import tokenizer_path
from sinkbench.report.pages._html import document, paragraph
from sinkbench.text.tokens import load_tokenizer

TITLE = "Continuations of one prompt"
STYLE = """
.columns { display: grid; gap: 0 1.25rem; margin: 0 0 1rem; }
h3 { margin: 0 0 .25rem; font-size: .87rem; overflow-wrap: anywhere; }
pre { margin: .25rem 0 0; font: 12px/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
pre.prompt { padding: .5rem; background: #f4f4f4; max-width: 80ch; }
small { font-size: .78rem; }
@media screen and (max-width: 640px) {
  .columns { grid-template-columns: 1fr !important; }
  .columns > div { margin-bottom: 1rem; }
}
@media print { pre { font-size: 7pt; } @page { size: landscape; } }
"""
STRETCHES = 8  # rows of the page
PROMPT_TOKENS = 120  # of its end, shown
REPEATED = 4  # tokens of a sequence that counts as a repetition


def render(results: Path, spec: dict) -> str:
    """The page of a study's folder of results; `spec` is catalogue.continuations_spec()."""
    tokenizer = load_tokenizer(tokenizer_path(spec["tokenizer"]))
    runs = {run: read_table(results / f"continuations/{run}.parquet") for run in spec["runs"]}
    return page(runs, tokenizer, spec)


def page(results: dict[str, tuple[pd.DataFrame, dict]], tokenizer: Tokenizer, facts: dict) -> str:
    """The page; every text on it is escaped, and every number is counted from the results.

    Args:
        results: (continuation.COLUMNS, notes) by run.
        facts: catalogue.continuations_spec().
    """
    parts = [paragraph(_about(facts)), *_prompt(results, tokenizer)]
    for first, last in _stretches(facts["new_tokens"]):
        where = facts["prompt_tokens"] + first
        parts.append(f"<h2>Tokens {where:,} to {where + last - first - 1:,} of the stream</h2>")
        style = f"grid-template-columns: repeat({len(results)}, minmax(0, 1fr))"
        parts.append(f'<div class="columns" style="{style}">')
        for run, (frame, notes) in results.items():
            parts.append(_column(run, frame.iloc[facts["prompt_tokens"] :], notes, (first, last), tokenizer))
        parts.append("</div>")
    return document(f"{TITLE}: {facts['study']}", "\n".join(parts), STYLE)


def repetition(ids: np.ndarray) -> float:
    """Percent of the sequences of REPEATED tokens in `ids` that stand in it before; 0 where all are new."""
    windows = np.lib.stride_tricks.sliding_window_view(ids, REPEATED)
    return 100 * (1 - len(np.unique(windows, axis=0)) / len(windows))


def _about(facts: dict) -> str:
    way = "always with the likeliest token"
    if facts["temperature"]:
        way = f"by sampling at temperature {facts['temperature']:g}, the same seed for all"
    return (
        f"Model: {facts['model']}. The first {facts['prompt_tokens']:,} tokens of {facts['document']} "
        f"({facts['corpus']}), continued by {facts['new_tokens']:,} tokens {way}. A mean NLL is that of the "
        "tokens chosen, under the run's own distribution before any temperature. It says how surprised a run "
        "is by itself, not how good its text is: a text that repeats itself is likely. A repetition is a "
        f"sequence of {REPEATED} tokens that the stretch has before."
    )


def _prompt(results: dict, tokenizer: Tokenizer) -> Iterator[str]:
    """The end of the prompt, which all have in common."""
    for frame, _ in results.values():
        if len(frame):
            given = frame["token_id"][frame["nll"].isna()].tolist()[-PROMPT_TOKENS:]
            yield "<h2>The end of the prompt</h2>"
            yield f'<pre class="prompt">{escape(tokenizer.decode(given))}</pre>'
            return


def _stretches(new_tokens: int) -> Iterator[tuple[int, int]]:
    """(first, past the last) of the rows of the page, as even as can be."""
    ends = [round(new_tokens * part / STRETCHES) for part in range(STRETCHES + 1)]
    for first, last in pairwise(ends):
        if last > first:
            yield first, last


def _column(run: str, frame: pd.DataFrame, notes: dict, where: tuple[int, int], tokenizer: Tokenizer) -> str:
    """One stretch of one run, or why there is none."""
    if notes["status"] != "ok":
        return f"<div><h3>{escape(run)}</h3><small>{escape(notes['status'])}</small></div>"
    part = frame.iloc[slice(*where)]
    ids = part["token_id"].to_numpy()
    said = f"mean NLL {part['nll'].mean():.2f} nats"
    if len(ids) >= REPEATED:
        said += f", {repetition(ids):.0f} % repetition"
    text = escape(tokenizer.decode(ids.tolist(), skip_special_tokens=False))
    return f"<div><h3>{escape(run)}</h3><small>{said}</small><pre>{text}</pre></div>"
