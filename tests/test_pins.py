"""The pins are one list: requirements.txt and the conda environment agree, and name no host."""

import importlib.util
import re

import pytest
import yaml
from helpers import ROOT

PIN = r"[a-z0-9._-]+==[0-9][0-9a-z.]*"


def test_conda_carries_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs/sinkbench.yaml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == (ROOT / "requirements.txt").read_text().split()


def test_every_requirement_is_pinned_without_a_url():
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert [line for line in lines if not re.fullmatch(PIN, line)] == [], name


@pytest.mark.parametrize(
    ("driver", "words"), [(None, "CPU build"), (580, "default"), (535, "cu126"), (470, "too old")]
)
def test_the_driver_decides_which_torch(driver, words):
    spec = importlib.util.spec_from_file_location("which_torch", ROOT / "envs/which_torch.py")
    which_torch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(which_torch)
    assert words in which_torch.advice(driver)
