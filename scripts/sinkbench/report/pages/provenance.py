"""What a study was made from, to be read: sources, statistics, environments and digests."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from sinkbench.artifacts.files import read_json
from sinkbench.report.pages._html import document, paragraph

TITLE = "Provenance"
ABOUT = (
    "Every number of this report was made from these sources, with these versions, on these devices. "
    "environment.json beside the results says the same for programs, and measurements.csv has every number."
)
JOBS = "jobs"
TITLES = {"converted_from": "Converted from gguf files"}


def render(results: Path, spec: dict) -> str:
    """The page of a study's folder of results; `spec` is catalogue.provenance_spec()."""
    return page(read_json(results / "environment.json"), spec["study"])


def page(record: dict, study: str) -> str:
    """The page.

    Args:
        record: environment.json.
    """
    body = ["<main>", paragraph(ABOUT)]
    for name in ("sources", "converted_from", "statistics", "self_checks"):
        body += [f"<h2>{_title(name)}</h2>", _list(record[name])] if record.get(name) else []
    for name in ("environments", "inputs"):
        body += [f"<h2>{name.capitalize()}</h2>", *map(_shared, record[name])]
    return document(f"{TITLE}: {study}", "\n".join([*body, "</main>"]))


def _title(key: str) -> str:
    return TITLES.get(key, key.replace("_", "-").capitalize())


def _shared(entry: Mapping) -> str:
    """What several jobs have in common, and which they are."""
    jobs = "".join(f"<li>{escape(job)}</li>" for job in entry[JOBS])
    facts = {name: value for name, value in entry.items() if name != JOBS}
    named = f"<details><summary>{len(entry[JOBS])} jobs</summary><ul>{jobs}</ul></details>"
    return f"<article>{_list(facts)}{named}</article>"


def _list(facts: Mapping) -> str:
    rows = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_text(value))}</dd>"
        for name, value in facts.items()
    )
    return f"<dl>{rows}</dl>"


def _text(value) -> str:
    return "; ".join(_parts(value)) if isinstance(value, dict | list) else _plain(value)


def _parts(value: dict | list) -> Iterator[str]:
    if isinstance(value, dict):
        yield ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    else:
        yield from map(_text, value)


def _plain(value) -> str:
    words = {None: "unknown", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
