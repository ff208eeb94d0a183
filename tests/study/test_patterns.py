"""Patterns end where the text ends, and strings that become paths stay below their folder."""

import re
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from sinkbench.errors import UserError
from sinkbench.study.config import read_study
from sinkbench.study.study import Study
from snakemake.utils import update_config

SCHEMAS = sorted((ROOT / "workflow/schemas").glob("*.yaml"))
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
TOY = ["config.yaml", "workflow/studies/demo.yaml", "tests/toy.yaml"]


def patterns(node) -> set[str]:
    """Every regular expression of a schema."""
    if isinstance(node, list):
        return set().union(*map(patterns, node))
    if not isinstance(node, dict):
        return set()
    own = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
    return own.union(*map(patterns, node.values()))


PATTERNS = sorted(set().union(*(patterns(yaml.safe_load(path.read_text())) for path in SCHEMAS)))


def test_the_schemas_have_patterns():
    assert len(PATTERNS) >= 6


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_what_matches_is_the_whole_text_in_one_line(pattern, data):
    """As jsonschema looks for a pattern: anywhere, and a dollar also stands before a last line's end."""
    text = data.draw(st.from_regex(pattern))
    assert re.search(pattern, text).group() == text
    for more in ("\n", "\r", "\N{LINE SEPARATOR}", "\nx"):
        assert not re.search(pattern, text + more)
        assert more == "\nx" or not re.search(pattern, more + text)
    assert len(text.splitlines()) == 1 and ".." not in Path(text).parts and not Path(text).is_absolute()


def refusal(**changes) -> str:
    config: dict = {}
    for file in TOY:
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    with pytest.raises(UserError) as caught:
        read_study(config | changes, SCHEMA, [str(ROOT / file) for file in TOY])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stdlib(**changes) -> list[dict]:
    return [{"name": "stdlib", "kind": "stdlib", "modules": ["typing"], **changes}]


DATASET = {"name": "stdlib", "kind": "dataset", "source": "folder", "path": "data", "column": "text"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"study": "demo\n"}, "study: 'demo\\n' begins or ends in"),
        ({"corpora": stdlib(name="stdlib\n")}, "corpora[0].name: 'stdlib\\n' begins or ends in"),
        ({"corpora": stdlib(modules=["../../x"])}, "corpora[0].modules[0]: '../../x' does not match"),
        ({"corpora": stdlib(modules=["/etc/x"])}, "corpora[0].modules[0]: '/etc/x' does not match"),
        (
            {"corpora": [DATASET | {"files": "../*.parquet"}]},
            "corpora[0].files: '../*.parquet' does not match",
        ),
        ({"corpora": [DATASET | {"files": "a/.."}]}, "corpora[0].files: 'a/..' does not match"),
        ({"corpora": [DATASET | {"files": "/etc/*.parquet"}]}, "corpora[0].files: '/etc/*.parquet' does not"),
    ],
)
def test_what_leaves_its_folder_is_refused(changes, expected):
    assert expected in refusal(**changes)


HUB = {"source": "hub", "repo": "org/neox", "revision": "0" * 40}
STATED = {"tokenizer.json": "a" * 64}


def test_digests_are_read_and_no_result_depends_on_them():
    config: dict = {}
    for file in TOY:
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    config["corpora"] = [{**DATASET, **HUB, "files": "*.parquet"}]
    config |= {"model": {**HUB, "dtype": "float32"}, "tokenizer": HUB}
    config["continuations"]["document"] = "stdlib-0"
    without = Study(config)
    config["corpora"][0]["sha256"] = {"a.parquet": "b" * 64}
    config["model"]["sha256"], config["tokenizer"]["sha256"] = {"config.json": "c" * 64}, STATED
    stated = read_study(config, SCHEMA, [])
    expected = {"a.parquet": "b" * 64, "config.json": "c" * 64, **STATED}
    assert list(stated.inputs.stated.values()) == [expected]
    assert list(stated.measuring_jobs()) == list(without.measuring_jobs())
    assert stated.tokens_settings("stdlib") == without.tokens_settings("stdlib")
    assert stated.plan() == without.plan()
    assert stated.inputs.repositories() == without.inputs.repositories()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tokenizer": {**HUB, "sha256": {"a": "b" * 63}}}, "tokenizer.sha256.a: 'bbb"),
        ({"tokenizer": {**HUB, "sha256": {"a": "b" * 64 + "\n"}}}, "\\n' begins or ends in"),
        (
            {
                "tokenizer": {**HUB, "sha256": STATED},
                "model": {**HUB, "dtype": "float32", "sha256": {"tokenizer.json": "d" * 64}},
            },
            "tokenizer.sha256: of tokenizer.json another digest is stated elsewhere",
        ),
    ],
)
def test_a_wrong_digest_is_one_line(changes, expected):
    assert expected in refusal(**changes)
