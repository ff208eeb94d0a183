"""The texts about the project point at what is there."""

import re
from pathlib import Path

from helpers import ROOT

TEXTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#:]+)(?:#([^)]*))?\)")


def test_links_lead_to_files_and_headings():
    broken = [
        f"{text.name}: {link}"
        for text in TEXTS
        for link in LINK.findall(text.read_text())
        if not leads_somewhere(text, *link)
    ]
    assert broken == []


def leads_somewhere(text: Path, name: str, heading: str) -> bool:
    """Whether there is such a file, with such a heading if one is named."""
    target = text.parent / name
    if not target.exists() or not heading:
        return target.exists()
    headings = re.findall("^#+ (.+)$", target.read_text(), re.MULTILINE)
    return heading in [re.sub(r"[^\w -]", "", found).lower().replace(" ", "-") for found in headings]


def test_every_page_of_docs_is_reached_from_the_readme():
    linked = {name for name, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked
