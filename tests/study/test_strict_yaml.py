"""Config files are read strictly; what sets a key is what is blamed for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from sinkbench.errors import UserError
from sinkbench.study.config import canonical, read_study
from sinkbench.study.strict_yaml import read_yaml
from snakemake.utils import update_config

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
BASE = ROOT / "config.yaml"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refusal(content: str | bytes) -> str:
    Path("c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        read_yaml("c.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("runs: []\nspeed: {}\nruns: []\n", "c.yaml:3: runs is given twice"),
        ("speed:\n  steps: 1\n  steps: 2\n", "c.yaml:3: speed.steps is given twice"),
        ("runs:\n- {a: 1}\n- {b: 1, 'b': 2}\n", "c.yaml:3: runs[1].b is given twice"),
        ('{"a": 1, "a": 2}', "c.yaml:1: a is given twice"),
        ("a: .nan", "c.yaml:1: a: '.nan' is a number in YAML: numbers are finite"),
        ("a: [1, -.inf]", "c.yaml:1: a[1]: '-.inf' is a number in YAML: numbers are finite"),
        ("a: 1.0e+999", "c.yaml:1: a: '1.0e+999' is not a finite number"),
        ("a: 010", "c.yaml:1: a: '010' is a number in YAML: whole numbers are written in decimal"),
        ("a: 0x10", "'0x10' is a number in YAML"),
        ("a: 0b1", "'0b1' is a number in YAML"),
        ("a: 1:30", "'1:30' is a number in YAML"),
        ("a: 1:30.5", "'1:30.5' is a number in YAML"),
        ("a: 1_000", "'1_000' is a number in YAML"),
        ("a: 1_000.5", "'1_000.5' is a number in YAML"),
        ("a: on", "c.yaml:1: a: 'on' is true or false in YAML: write true or false, and put text in quotes"),
        ("a: No", "'No' is true or false in YAML"),
        ("a: NULL", "'NULL' is null in YAML: write null"),
        ("a: 2026-11-27", "c.yaml:1: a: '2026-11-27' is a date in YAML; put text in quotes"),
        ("a: =", "'=' is value in YAML"),
        ("a: |\n  text\n", r"c.yaml:1: a: 'text\n' holds a line break or another control character"),
        ('a: "b\\tc"', r"'b\tc' holds a line break or another control character"),
        ("1: a", "c.yaml:1: top level: the key '1' is not text; quote it"),
        ("b: {null: a}", "c.yaml:1: b: the key 'null' is not text"),
        ("yes: a", "the key 'yes' is not text"),
        ("[a]: b", "the key a list or mapping is not text"),
        ("a: !!python/name:os.system x", "a: 'x' is python/name:os.system in YAML"),
        ("a: !local [1]", "a: the tag !local is not read here"),
        ("__use_yte__: true", "__use_yte__: templates are not read here"),
        ("a: &x [*x]", "a[0]: an alias of what holds it"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2: not YAML: but found another document"),
        ("a: [1\n", "c.yaml:2: not YAML: "),
        ("a:\n\tb: 1\n", "c.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("- a\n", "c.yaml: not a mapping of keys to values"),
        ("", "c.yaml: not a mapping of keys to values"),
        ("a: 1\nb: é\n".encode("latin-1"), "c.yaml:2: not UTF-8 text"),
    ],
)
def test_what_yaml_would_take_for_something_else_is_refused(content, said):
    assert said in refusal(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: 10\nb: -0.5\nc: 1.5e-3\nd: true\ne: null\nf:\ng: text\n", None),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: *x\n", {"a": {"b": 1}, "c": {"b": 1, "d": 2}, "e": {"b": 1}}),
        ("a: '010'\nb: \"on\"\nc: 'a # b'\n", {"a": "010", "b": "on", "c": "a # b"}),
        ("\ufeffa: 1 # é\r\nb: ü\r\n", {"a": 1, "b": "ü"}),
        ('{"a": [1, 2.5], "b": null}', {"a": [1, 2.5], "b": None}),
    ],
)
def test_what_means_what_it_says_is_read(content, expected):
    Path("c.yaml").write_text(content, encoding="utf-8", newline="")
    assert read_yaml("c.yaml") == (expected or yaml.safe_load(content))


def test_all_configs_of_the_project_are_strict():
    for path in [BASE, *ROOT.glob("workflow/studies/*.yaml"), ROOT / "tests/toy.yaml"]:
        assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


def line(overlay: dict | None = None, **options) -> str:
    """What is said of config.yaml with an overlay and --config."""
    files, config = [BASE], yaml.safe_load(BASE.read_text())
    if overlay is not None:
        Path("over.yaml").write_text(yaml.safe_dump(overlay))
        files.append(Path("over.yaml"))
        update_config(config, overlay)
    update_config(config, options)
    with pytest.raises(UserError) as caught:
        read_study(config, SCHEMA, list(map(str, files)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("overlay", "options", "said"),
    [
        (None, {"speed": 5}, "--config: speed: 5 is not a mapping"),
        (None, {"foo": 1}, "--config: top level: unknown key foo"),
        (None, {"speed": {"steps": "5"}}, "--config: speed.steps: '5' is not a whole number"),
        (None, {"runs": []}, "--config: runs: [] is empty"),
        ({"speed": {"steps": "x"}}, {"device": "cpu"}, "over.yaml: speed.steps: 'x' is not a whole number"),
        ({"speed": {"steps": "x"}}, {"speed": {"steps": "y"}}, "--config: speed.steps: 'y' is not a whole"),
        ({"runs": [{"family": "baseline", "policy": "window"}]}, {}, "over.yaml: runs[0]: missing options"),
        ({"speed": {"steps": 9}}, {"statistics": {"seed": -1}}, "--config: statistics.seed: -1 is less"),
        ({"statistics": {"confidence": float("nan")}}, {}, "over.yaml:2: statistics.confidence: '.nan'"),
        (None, {"statistics": {"confidence": float("inf")}}, "confidence: Infinity is not a finite number"),
        (None, {"study": "a\n"}, "--config: study: 'a\\n' begins or ends in a space"),
        (None, {"study": " a"}, "--config: study: ' a' begins or ends in a space"),
        (None, {" ": " "}, "--config: top level: key ' ' begins or ends in a space"),
        (None, {"model": {"a\n": 1}}, "--config: model: key 'a\\n' begins or ends in a space"),
    ],
)
def test_what_set_a_key_is_blamed(overlay, options, said):
    assert said in line(overlay, **options)


def test_text_of_the_command_line_has_a_hint():
    said = line(None, speed={"steps": "5"})
    assert said.endswith("; --config gives text: put numbers into a file, and name it behind --configfile")


def test_order_of_keys_and_whole_numbers_with_a_point_change_nothing():
    config = yaml.safe_load(BASE.read_text())

    def turned(value):
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(each) for each in value] if isinstance(value, list) else value

    config["statistics"]["confidence"] = 1 / 2
    config["continuations"]["temperature"] = 1
    other = turned(config)
    other["continuations"]["temperature"] = 1.0
    studies = [read_study(each, SCHEMA, []) for each in (config, other)]
    first, second = (
        json.dumps([study.plan(), list(study.measuring_jobs()), study.config]) for study in studies
    )
    assert first == second


def test_the_canonical_form_keeps_lists_and_types():
    assert canonical({"b": [3, 1.5, True], "a": {"d": 2.0, "c": "x"}}) == {
        "a": {"c": "x", "d": 2},
        "b": [3, 1.5, True],
    }
    assert type(canonical(2.0)) is int and canonical([True])[0] is True


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_files_are_utf_8_in_every_locale(locale):
    Path("c.yaml").write_text("a: ü # é\n", encoding="utf-8")
    script = "from sinkbench.study.strict_yaml import read_yaml; print(ascii(read_yaml('c.yaml')))"
    environment = {
        "PYTHONPATH": str(ROOT / "scripts"),
        "LC_ALL": locale,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "{'a': '\\xfc'}", done.stderr
