"""Mutated configs are plannable, or refused in one readable line that names a key; never a traceback.

SINKBENCH_FUZZ=5000 asks the long test for as many examples (300 by default).
"""

import os
import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sinkbench.errors import UserError
from sinkbench.report import catalogue
from sinkbench.study.config import read_study
from sinkbench.study.preflight import check
from sinkbench.study.staleness import stale
from sinkbench.study.study import Study
from snakemake.utils import update_config

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
EXAMPLES = int(os.environ.get("SINKBENCH_FUZZ", 300))  # of the long test
LONGEST = 1200  # characters of a line: one that lists all allowed words is long
KEYS = set(yaml.safe_load(SCHEMA.read_text())["properties"])
OVERLAYS = (None, "demo", "latency")


def study_files(overlay: str | None) -> list[str]:
    return [str(ROOT / "config.yaml"), *([str(ROOT / f"workflow/studies/{overlay}.yaml")] if overlay else [])]


def merged(overlay: str | None) -> dict:
    config: dict = {}
    for file in study_files(overlay):
        update_config(config, yaml.safe_load(Path(file).read_text()))
    return config


CONFIGS = {overlay: merged(overlay) for overlay in OVERLAYS}


def places(node, path=()) -> list[tuple]:
    """The path of every key and item."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, value in inner for found in ((*path, key), *places(value, (*path, key)))]


PLACES = {overlay: places(config) for overlay, config in CONFIGS.items()}
WORDS = sorted({place[-1] for found in PLACES.values() for place in found if isinstance(place[-1], str)})
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70_000),
    st.floats(allow_nan=True),
    st.sampled_from(
        ["", "none", "dense", "cpu", "hub", "folder", "random", "..", "a b", "é", "1", "{x}", *WORDS]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=5,
)


def near(old, value):
    """Another value of the same type, where there is one."""
    match old:
        case bool():
            return not old
        case int() | float():
            return type(old)(old * 2) if value else max(old - 1, 0)
        case list():
            return old[1:] or old
        case str():
            return value if isinstance(value, str) else old
    return old


def mutate(config: dict, place: tuple, how: str, value) -> None:
    """Change, remove, repeat or wrap what lies at a place, or put a key or item beside it."""
    *path, key = place
    holder = config
    for step in path:
        holder = holder[step]
    if how == "change":
        holder[key] = value
    elif how == "nudge":
        holder[key] = near(holder[key], value)
    elif how == "remove":
        del holder[key]
    elif how == "wrap":
        holder[key] = [holder[key]]
    elif isinstance(holder, list):
        holder.insert(key, deepcopy(holder[key]) if how == "repeat" else value)
    else:
        holder[value if isinstance(value, str) else "sead"] = (
            deepcopy(holder[key]) if how == "repeat" else value
        )


@st.composite
def mutated(draw) -> tuple[str | None, dict]:
    overlay = draw(st.sampled_from(OVERLAYS))
    config = deepcopy(CONFIGS[overlay])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(PLACES[overlay]))
        how = draw(st.sampled_from(["nudge", "nudge", "nudge", "change", "remove", "repeat", "wrap", "add"]))
        try:
            mutate(config, place, how, draw(VALUES))
        except (KeyError, IndexError, TypeError):  # an earlier mutation took the place away
            continue
    return overlay, config


def plan(study: Study) -> None:
    """What Snakemake asks of a study before any job starts, but for the network and the GPU."""
    study.plan()
    list(study.measuring_jobs())
    catalogue.output_specs(study.config)
    for corpus in study.corpora:
        study.inputs.text_files(corpus)
    study.inputs.model_files(), study.inputs.draft_files(), study.inputs.repositories()
    stale(study, ROOT / "results/none")
    check(study, fetches=False, measures=study.config["device"] == "cpu")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_a_mutated_config_is_plannable_or_refused_in_a_line_that_names_a_key(example):
    check_line(*example)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_many_mutated_configs_are_plannable_or_refused_in_such_a_line(example):
    check_line(*example)


def check_line(overlay: str | None, config: dict) -> None:
    files = study_files(overlay)
    try:
        study = read_study(config, SCHEMA, files)
        plan(study)
    except UserError as error:
        event("refused")
        line = str(error)
        assert "\n" not in line and len(line) <= LONGEST
        assert names_a_key(line, config), line
    else:
        event("plannable")


def names_a_key(line: str, config: dict) -> bool:
    """Whether the line is about a key of the schema, an unknown key, or a path that the config names."""
    said = re.sub(r"^(\S+\.yaml( \+ \S+\.yaml)*|--config): ", "", line)
    first = re.match(r"[\w-]*", said)[0]
    return (
        first in KEYS
        or said.startswith("top level: ")
        or any(said.startswith(path) for path in paths(config))
    )


def paths(config: dict) -> list[str]:
    """Folders and files that the config names, and what the library is made of."""
    return [
        str(config[name]["path"])
        for name in ("model", "draft", "tokenizer")
        if "path" in config.get(name, {})
    ]


def test_the_studies_themselves_are_plannable():
    for overlay in (None, "latency"):
        study = read_study(deepcopy(CONFIGS[overlay]), SCHEMA, study_files(overlay))
        assert study.plan()["methods"]
