"""The texts about the project point at what is there."""

import re

import pytest
from helpers import ROOT

TEXTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#:]+)(?:#([^)]*))?\)")


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(text):
    for name, heading in LINK.findall(text.read_text()):
        target = text.parent / name
        assert target.exists(), name
        if heading:
            headings = re.findall("^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", found).lower().replace(" ", "-") for found in headings]


def test_every_page_of_docs_is_reached_from_the_readme():
    linked = {name for name, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked
