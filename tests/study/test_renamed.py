"""A config that says an earlier word is refused with a line that names the present one."""

from dataclasses import fields

import pytest
import yaml
from helpers import ROOT
from sinkbench import registry
from sinkbench.engines.table import ENGINES
from sinkbench.errors import UserError
from sinkbench.study import renamed
from sinkbench.study.config import read_study
from snakemake.utils import update_config

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
BASE = ROOT / "config.yaml"
RUN = {"family": "streaming", "policy": "streaming"}
CODE = {"family": "refresh", "policy": "copy", "options": {"budget": 8}}


def said(overlay: dict, folder, **overrides) -> str:
    """The line that refuses an overlay over config.yaml; `overrides` stand for --config."""
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(overlay))
    config = yaml.safe_load(BASE.read_text())
    update_config(config, overlay | overrides)
    with pytest.raises(UserError) as caught:
        read_study(config, SCHEMA, [str(BASE), str(file)])
    return str(caught.value)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Lines name files as seen from the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ({"runs": [RUN | {"with": {"budget": 8}}]}, "runs[0].with: is now called options"),
        (
            {"runs": [RUN | {"options": {"chosen": 8}}]},
            "runs[0].options.chosen: is now called selected_tokens",
        ),
        (
            {"runs": [RUN | {"options": {"every": 8}}]},
            "runs[0].options.every: is now called refresh_every, or ",
        ),
        (
            {"runs": [RUN, RUN | {"speculate": {"drafted": 2}}]},
            "runs[1].speculate.drafted: is now called draft_",
        ),
        ({"speed": {"score_tokens": 9}}, "speed.score_tokens: is now called check_tokens"),
        ({"runs": [RUN | {"engine": "stock"}]}, "runs[0].engine: 'stock' is now called hf"),
        (
            {"runs": [RUN | {"engine": ["eager", "reference_flash"]}]},
            "runs[0].engine[1]: 'reference_flash' is now",
        ),
        ({"runs": [CODE]}, "runs[0].policy: 'copy' is now called repeat_lookup"),
        (
            {"corpora": [{"name": "topics", "kind": "topics"}]},
            "corpora[0].kind: 'topics' is now called pydoc_topics",
        ),
        (
            {"runs": [RUN | {"tpot_against": "dense.stock"}]},
            "runs[0].tpot_against: 'dense.stock' is now called dense.hf",
        ),
        (
            {"runs": [RUN | {"tpot_against": ["dense", "streaming-4+508.reference"]}]},
            "runs[0].tpot_against[1]: 'streaming-4+508.reference' is now called streaming-4+508.paper",
        ),
        (
            {"continuations": {"runs": ["dense.hf", "copy-4+92+32-r16-h508-m1-s8-b1.graph-k4-t0.5"]}},
            "continuations.runs[1]: 'copy-4+92+32-r16-h508-m1-s8-b1.graph-k4-t0.5' is now called "
            "repeat_lookup-4+92+32-r16-h508-m1-s8-b1.graph-k4-t0.5",
        ),
    ],
)
def test_an_earlier_word_is_refused_with_the_present_one(overlay, expected, tmp_path):
    assert said(overlay, tmp_path).startswith(f"own.yaml: {expected}")


def test_an_earlier_word_on_the_command_line_is_blamed_on_it(tmp_path):
    speed = {"score_tokens": 9}
    assert said({}, tmp_path, speed=speed) == "--config: speed.score_tokens: is now called check_tokens"


@pytest.mark.parametrize(
    "name", ["dense", "dense.hf", "streaming-4+2044.graph-k4-t0.5", "repeat_lookup-4+60.fused-x16"]
)
def test_a_present_name_stays(name):
    assert renamed.find_renamed({"continuations": {"runs": [name]}, "runs": [{"tpot_against": name}]}) is None


def test_no_present_word_is_refused():
    """Whoever takes an earlier word for a new thing must take its row away."""
    assert not set(renamed.ENGINES) & set(ENGINES)
    assert set(renamed.ENGINES.values()) <= set(ENGINES)
    assert not set(renamed.POLICIES) & set(registry.available("policies"))
    options = {
        field.name
        for name in registry.available("policies")
        for field in fields(registry.load("policies", name).Policy)
    }
    assert not {f"runs.*.options.{name}" for name in options} & set(renamed.KEYS)
