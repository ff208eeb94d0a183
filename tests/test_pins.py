"""The pins are one list: requirements.txt and the conda environment agree, and name no host."""

import re

import yaml
from conftest import ROOT


def test_conda_carries_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs/sinkbench.yaml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == (ROOT / "requirements.txt").read_text().split()


def test_every_requirement_is_pinned_without_a_url():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.fullmatch(r"[a-z0-9._-]+==[0-9][0-9a-z.]*", line), line
