"""Every mistake in a config is one line that names file, key, value and what is allowed."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from sinkbench.errors import UserError
from sinkbench.study.config import TYPES, read_study
from sinkbench.study.run_table import RunTable
from sinkbench.study.study import Study
from snakemake.utils import update_config

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
BASE = ROOT / "config.yaml"
STUDIES = ROOT / "workflow/studies"
ABSENT = object()
PACKED = {
    "source": "package",
    "requirement": "tiny==1.0",
    "file": "tiny/m.gguf",
    "sha256": "a" * 64,
    "dtype": "float32",
}
HUB_MODEL = {"source": "hub", "repo": "a/b", "dtype": "float32"}
FOLDER_CORPUS = {"name": "a", "kind": "dataset", "source": "folder", "files": "*.parquet", "column": "text"}
UNTIMED = {"family": "baseline", "policy": "window", "options": {"budget": 8}}
LATENCY_MODEL = yaml.safe_load((STUDIES / "latency.yaml").read_text())["model"]
ENTRIES = yaml.safe_load(BASE.read_text())["runs"]
FIRST = {entry["policy"][:3].upper(): str(index) for index, entry in reversed(list(enumerate(ENTRIES)))}
FIRST["SPE"] = str(next(i for i, entry in enumerate(ENTRIES) if entry["family"] == "speculation"))
FIRST["LOO"] = str(next(i for i, entry in enumerate(ENTRIES) if "drafts" in entry.get("speculate", {})))


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Lines name files as seen from the working directory."""
    monkeypatch.chdir(tmp_path)


def merged(*files) -> dict:
    config = {}
    for file in files:
        update_config(config, yaml.safe_load(file.read_text()))
    return config


def mutated(source, folder, path: str, value):
    """A copy in `folder` of a config file with `value` at a dotted path; ABSENT removes the key."""
    content = yaml.safe_load(source.read_text())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = content
    for key in parents:
        target = target[key]
    if value is ABSENT:
        del target[last]
    else:
        target[last] = deepcopy(value)
    copy = folder / source.name
    copy.write_text(yaml.safe_dump(content))
    return copy


def line(*files, **overrides) -> str:
    """What reading the files prints; `overrides` stand for --config."""
    with pytest.raises(UserError) as caught:
        read_study(merged(*files) | overrides, SCHEMA, [str(file) for file in files])
    assert "\n" not in str(caught.value)
    return str(caught.value)


OF_LATENCY = ["ladder"]  # overlays of an overlay
BELOW = dict.fromkeys(OF_LATENCY, "latency") | {"real": "smollm2"}
BELOW |= dict.fromkeys(["known-2.8b", "known-smollm2"], "known")


def files_of(study: str) -> list[Path]:
    """The files that make a study of workflow/studies, as its first lines name them."""
    names = [BELOW[study], study] if study in BELOW else [study]
    return [BASE, *(STUDIES / f"{name}.yaml" for name in names)]


ALL = [[BASE], *(files_of(path.stem) for path in sorted(STUDIES.iterdir()))]


@pytest.mark.parametrize("files", ALL, ids=lambda files: files[-1].stem)
def test_studies_are_valid(files):
    assert read_study(merged(*files), SCHEMA, files).methods


@pytest.mark.parametrize("overlay", OF_LATENCY)
def test_overlays_of_the_latency_study_name_jobs_of_it(overlay):
    """So that what was measured with one of them is a result of the whole study too."""
    pair = files_of("latency"), files_of(overlay)
    whole, part = (read_study(merged(*files), SCHEMA, files) for files in pair)
    jobs = {(folder, name): settings for folder, name, settings in whole.measuring_jobs()}
    of_part = [((folder, name), settings) for folder, name, settings in part.measuring_jobs()]
    assert of_part
    assert not [job for job, settings in of_part if jobs[job] != settings]


MISTAKES = [
    # unknown and missing keys
    ("sead", 1, "top level: unknown key sead; allowed: study, device"),
    ("speed.step", 1, "speed: unknown key step; allowed: corpus, contexts"),
    ("model.revison", "0" * 40, "model: unknown key revison; allowed: source, repo, revision"),
    ("runs.WIN.options.size", 2, "runs[WIN].options.size: unknown; window takes budget"),
    ("corpora.0", {"nme": "a", "kind": "files", "glob": "*"}, "corpora[0]: unknown key nme; allowed: name"),
    ("model", ABSENT, "top level: missing model"),
    ("evaluation", {}, "evaluation: missing chunk_tokens"),
    ("runs.REC.options.sinks", ABSENT, "runs[REC].options: recompute needs "),
    # wrong types
    ("runs", {"a": 1}, 'runs: {"a": 1} is not a list'),
    ("runs.1.options", [], "runs[1].options: [] is not a mapping"),
    ("model", [HUB_MODEL], 'model: [{"dtype": "float32"'),
    ("tables", "headline", "tables: 'headline' is not a list"),
    ("speed.steps", 32.0, "speed.steps: 32.0 is not a whole number (Timed steps"),
    ("speed.steps", True, "speed.steps: true is not a whole number"),
    ("runs.WIN.engine", 3, "runs[WIN].engine: 3 is not text or a list"),
    ("runs.WIN.engine", [3], "runs[WIN].engine[0]: 3 is not text"),
    # values
    ("device", "gpu", "device: 'gpu' is not one of cuda, cpu"),
    ("study", "Bad name", "study: 'Bad name' does not match ^[a-z0-9]"),
    ("speed.steps", 0, "speed.steps: 0 is less than 2"),
    ("speed.contexts", [2048, 1], "speed.contexts[1]: 1 is less than 2"),
    ("statistics.confidence", 95, "statistics.confidence: 95 is not less than 1"),
    ("statistics.confidence", 0, "statistics.confidence: 0 is not more than 0"),
    ("measure", ["quality", "quality"], 'measure: ["quality", "quality"] lists a value twice'),
    ("runs.WIN.dtype", "float8", "runs[WIN].dtype: 'float8' is not one of float32, bfloat16, float16"),
    ("runs.WIN.dtype", ["float32", "float32"], 'runs[WIN].dtype: ["float32", "float32"] lists a value'),
    # empty lists
    ("runs", [], "runs: [] is empty"),
    ("corpora", [], "corpora: [] is empty"),
    ("runs.WIN.options.budget", [], "runs[WIN].options.budget: an empty list makes no run"),
    # cache sizes
    ("runs.WIN.options.budget", -5, "runs[WIN].options.budget: -5 is not a whole number"),
    ("runs.WIN.options.budget", [512, "64"], "runs[WIN].options.budget: '64' is not a whole number"),
    ("runs.STR.options", {"budget": 4, "sinks": 4}, "runs[STR].options.budget: 4 must be larger than sinks"),
    ("runs.STR.options.sinks", -1, "runs[STR].options.sinks: -1 is not a whole number"),
    (
        "runs.REC.options.first_position",
        10,
        "runs[REC].options.first_position: 10 must be at least the budget",
    ),
    ("runs.DEN.options.max_tokens", 1, "runs[DEN].options.max_tokens: 1 is not a whole number"),
    # words that are files
    ("runs.WIN.policy", "windw", "runs[WIN].policy: 'windw' is not one of dense, lazy"),
    ("runs.WIN.engine", "fast", "runs[WIN].engine: 'fast' is not one of hf_math, hf_flash, hf_static, fused"),
    ("runs.WIN.engine", "hf", "runs[WIN].engine: hf cannot decode window; paper, paper_flash, eager, "),
    ("runs.WIN.dtype", "float16", "runs[WIN].engine: fused does not decode in float16, but in float32 or bf"),
    ("runs.WIN.quantization", "int3", "runs[WIN].quantization: 'int3' is not one of"),
    ("runs.0.family", "window", "runs[0].family: 'window' is not one of baseline, streaming"),
    ("tables", ["nope"], "tables: 'nope' is not one of"),
    ("figures", ["nope"], "figures: 'nope' is not one of"),
    ("claims", ["nope"], "claims: 'nope' is not one of"),
    # names that refer to each other
    (
        "runs.WIN.perplexity_against",
        "none",
        "runs[WIN].perplexity_against: 'none' is not one of window-0+512",
    ),
    ("runs.WIN.tpot_against", "hf", "runs[WIN].tpot_against: 'hf' is not one of dense.hf"),
    ("runs.REC.tpot_against", "dense", "runs[REC].tpot_against: 'dense.fresh' is not one of dense.hf"),
    ("speed.corpus", "pg20", "speed.corpus: 'pg20' is not one of pg19, pg19-short, wikitext"),
    ("corpora.1.name", "pg19", "corpora[1].name: 'pg19' is listed twice"),
    ("runs.WIN.options.budget", [512, 512], "runs[WIN].engine: window-0+512.fused is listed twice"),
    # drafts
    ("draft", ABSENT, "draft: missing (needed with speculate)"),
    ("draft", {"source": "folder"}, "draft: missing path (needed with source: folder)"),
    ("draft.dtype", "float32", "draft: unknown key dtype; allowed: source, repo"),
    ("runs.SPE.speculate.draft_tokens", 0, "runs[SPE].speculate.draft_tokens: 0 is "),
    ("runs.SPE.speculate.temperature", -1, "runs[SPE].speculate.temperature: -1 is "),
    ("runs.SPE.speculate.drafts", "ngram", "runs[SPE].speculate.drafts: 'ngram' is not one of model, lookup"),
    ("runs.SPE.speculate.places", 1, "runs[SPE].speculate.places: 1 is less than 2"),
    ("runs.LOO.batch", 4, "runs[LOO].batch: 4 is more than the 1 of engine graph"),
    ("runs.LOO.speculate.draft_tokens", 16, "runs[LOO].speculate.draft_tokens: 16 is more than the 15 of e"),
    ("runs.SPE.speculate", ABSENT, "runs[SPE].speculate: what family speculation has, and no other"),
    (
        "runs.WIN.speculate",
        {"draft_tokens": 2},
        "runs[WIN].speculate: what family speculation has, and no other",
    ),
    ("runs.SPE.engine", "static", "runs[SPE].engine: static does not verify drafts; eager, graph, fused can"),
    ("runs.SPE.batch", 2, "runs[SPE].batch: 2 is more than the 1 of engine graph"),
    # recall
    ("recall", ABSENT, "measure: recall needs the key recall"),
    ("recall.corpus", "books", "recall.corpus: 'books' is not one of pg19, pg19-short, wikitext"),
    ("recall.methods.0", "dens", "recall.methods: 'dens' is not one of dense, "),
    (
        "recall.methods.0",
        "recompute-4+2044",
        "recall.methods: recompute-4+2044 scores no whole passage at any of recall.distances",
    ),
    ("recall.distances.0", 63, "recall.distances: 63 is less than passage_tokens (64)"),
    ("recall.passage_tokens", 3, "recall.passage_tokens: 3 is less than the 4 sinks of streaming-4+2044"),
    ("recall.passages", 1, "recall.passages: 1 is less than 2"),
    # shares of attention
    ("sink_shares", ABSENT, "measure: sinks needs the key sink_shares"),
    ("sink_shares.corpus", "books", "sink_shares.corpus: 'books' is not one of pg19, pg19-short, wikitext"),
    ("sink_shares.tokens", 15, "sink_shares.tokens: 15 is less than 16"),
    ("sink_shares.tokens", 16385, "sink_shares.tokens: 16385 is more than dense scores of a text"),
    # sources
    ("model", HUB_MODEL, "model: missing revision (needed with source: hub)"),
    ("model.source", ABSENT, "model: missing source"),
    ("model.source", "disk", "model.source: 'disk' is not one of hub, folder, package, gguf, random"),
    ("model", PACKED | {"sha256": None}, "model.sha256: null is not text"),
    ("model", PACKED | {"sha256": {}}, "model.sha256: {} is not text"),
    ("model", PACKED | {"requirement": "tiny"}, "model.requirement: 'tiny' does not match"),
    ("model", PACKED | {"requirement": "tiny>=1"}, "model.requirement: 'tiny>=1' does not match"),
    ("model", PACKED | {"requirement": "--pre==1"}, "model.requirement: '--pre==1' does not match"),
    ("model", PACKED | {"file": "../m.gguf"}, "model.file: '../m.gguf' does not match"),
    ("model", PACKED | {"file": "/m.gguf"}, "model.file: '/m.gguf' does not match"),
    (
        "draft",
        {"source": "package"},
        "draft: missing requirement, file, sha256 (needed with source: package)",
    ),
    ("tokenizer", {"source": "gguf"}, "tokenizer: missing path (needed with source: gguf)"),
    (
        "tokenizer",
        {"source": "gguf", "path": "no.gguf"},
        "tokenizer.sha256: missing (needed with source: gguf)",
    ),
    ("model", HUB_MODEL | {"revision": "0" * 40, "sha256": "a" * 64}, "model.sha256: 'aaa"),
    ("corpora.0.sha256", "a" * 64, "corpora[0].sha256: 'aaa"),
    ("model", {"source": "folder", "dtype": "float32"}, "model: missing path (needed with source: folder)"),
    ("model", {"source": "random", "dtype": "float32"}, "model: missing shape, seed (needed with"),
    ("model.revision", "main", "model.revision: 'main' does not match ^[0-9a-f]"),
    ("tokenizer", {"source": "random"}, "tokenizer.source: 'random' is not one of hub, folder"),
    ("corpora.0.column", ABSENT, "corpora[0]: missing column (needed with kind: dataset)"),
    ("corpora.0.kind", "files", "corpora[0]: missing glob (needed with kind: files)"),
    ("corpora", [FOLDER_CORPUS], "corpora[0]: missing path (needed with source: folder)"),
    ("corpora.0.revision", ABSENT, "corpora[0]: missing revision (needed with source: hub)"),
    ("corpora.0", {"name": "a", "kind": "files", "glob": "*", "source": "folder"}, "corpora[0].source: only"),
    # what cannot be measured
    ("model", LATENCY_MODEL, "measure: quality means nothing with model.source random"),
    ("runs", [UNTIMED], "measure: speed needs runs with an engine"),
    # continuations
    ("continuations", ABSENT, "measure: continuation needs the key continuations"),
    ("continuations.corpus", "c4", "continuations.corpus: 'c4' is not one of pg19, pg19-short, wikitext"),
    ("continuations.runs", ["dense"], "continuations.runs: 'dense' is not one of dense.hf"),
    (
        "continuations.runs",
        ["streaming-4+2044.fused-x4"],
        "continuations.runs: streaming-4+2044.fused-x4 decodes",
    ),
    ("continuations.temperature", -1, "continuations.temperature: -1 is less than 0"),
    ("continuations.speed", 1, "continuations: unknown key speed; allowed: corpus, document"),
]


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES)
def test_mistake_is_one_line(path, value, expected, tmp_path):
    for policy, index in FIRST.items():
        path, expected = path.replace(policy, index), expected.replace(policy, index)
    assert line(mutated(BASE, tmp_path, path, value)).startswith(f"config.yaml: {expected}")


def test_one_name_for_two_methods(tmp_path):
    again = {**ENTRIES[0], "options": ENTRIES[0]["options"] | {"samples": 3}}
    said = line(mutated(BASE, tmp_path, "runs", [*ENTRIES, again]))
    assert f"runs[{len(ENTRIES)}].options: recompute-4+2044 is listed before, with " in said


def entry(family: str, **keys) -> dict:
    return {"family": family, "policy": "streaming", "options": {"budget": 8, "sinks": 2}} | keys


def test_drafts_are_verified_for_one_stream():
    drafted = entry("speculation", engine="fused", batch=4, speculate={"drafts": "lookup", "draft_tokens": 4})
    with pytest.raises(UserError) as caught:
        RunTable([drafted], "float32")
    assert str(caught.value) == "runs[0].batch: 4 streams; drafts are verified for one"


def test_a_run_is_named_by_its_drafts():
    wanted = {"drafts": ["model", "lookup"], "draft_tokens": [2, 4], "temperature": [0, 1]}
    table = RunTable([entry("speculation", engine="graph", speculate=wanted)], "float32")
    labels = {(run.drafts, run.draft_tokens, run.temperature): run.label for run in table.runs.values()}
    assert len(labels) == 8
    assert labels["model", 4, 0] == "graph-k4" and labels["lookup", 4, 0] == "graph-lookup-k4"
    assert labels["lookup", 2, 1] == "graph-lookup-k2-t1"


def test_a_lookup_needs_no_draft_model(tmp_path):
    config = merged(BASE)
    del config["draft"]
    config["runs"] = [entry for entry in config["runs"] if entry["family"] != "speculation"]
    config["runs"].append(ENTRIES[int(FIRST["LOO"])])
    study = Study(config)
    run = next(name for name, run in study.runs.items() if run.drafts)
    assert study.draft is None and study.inputs.draft_files() == []
    assert "draft" not in study.timing_settings(run) and study.timing_settings(run)["drafts"] == "lookup"


def test_places_share_the_rounds_of_the_repetitions():
    study = Study(merged(BASE))
    speed = study.timing_settings("streaming-4+2044.graph-lookup-k4")["speed"]
    asked = study.config["speed"]
    assert speed["repetitions"] == 16
    assert speed["repetitions"] * speed["steps"] == asked["repetitions"] * asked["steps"]
    few = merged(*files_of("demo"))
    speed = Study(few).timing_settings("streaming-4+508.eager-lookup-k4")["speed"]
    assert (speed["repetitions"], speed["steps"]) == (3, 32)


def test_engines_read_blocks_of_what_their_kernels_can():
    from sinkbench.engines.fused import blocks
    from sinkbench.engines.table import ENGINES

    assert ENGINES["fused"].block_tokens == blocks.MOST_TOKENS


def test_a_method_may_be_listed_by_several_families():
    """The first scores it, and each times its own engines."""
    dense = {
        "family": "baseline",
        "policy": "dense",
        "options": {"max_tokens": 9},
        "engine": ["eager", "graph"],
    }
    first = entry("streaming", engine="eager", perplexity_against="dense", profile=False)
    second = entry("engine", engine=["graph", "fused"], tpot_against="dense.eager")
    table = RunTable([dense, first, second], "float32")
    method = table.methods["streaming-2+6"]
    assert (method.family, method.perplexity_against) == ("streaming", "dense")
    families = {run.name: (run.family, run.profiled) for run in table.runs.values() if run.method == method}
    assert families == {
        "streaming-2+6.eager": ("streaming", False),
        "streaming-2+6.graph": ("engine", True),
        "streaming-2+6.fused": ("engine", True),
    }


def test_a_corpus_may_be_scored_by_some_families_alone_and_is_the_same_text():
    config = merged(BASE, STUDIES / "demo.yaml")
    study = Study(config)
    beside = [method for method, corpus in study.scored() if corpus == "topics"]
    assert {study.methods[name].family for name in beside} == {"streaming", "refresh"}
    assert {method for method, corpus in study.scored() if corpus == "stdlib"} == set(study.methods)
    tokens = study.tokens_settings("topics")
    config["corpora"][1].pop("families")
    assert Study(config).tokens_settings("topics") == tokens


def test_a_method_named_as_baseline_means_its_run_on_the_same_engine():
    dense = {
        "family": "baseline",
        "policy": "dense",
        "options": {"max_tokens": 9},
        "engine": ["eager", "graph"],
    }
    again = entry("engine", engine=["eager", "graph"], tpot_against=["dense", "dense.graph"])
    runs = RunTable([dense, again], "float32").runs
    assert runs["streaming-2+6.eager"].tpot_against == ("dense.eager", "dense.graph")
    assert runs["streaming-2+6.graph"].tpot_against == ("dense.graph", "dense.graph")
    with pytest.raises(UserError, match=r"runs\[1\]\.tpot_against: 'dense.fused' is not one of"):
        RunTable([dense, entry("engine", engine="fused", tpot_against="dense")], "float32")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("device", "gpu", "demo.yaml: device"),
        ("model.path", ABSENT, "demo.yaml: model: missing path (needed with source: folder)"),
        ("speed.wamup", 3, "demo.yaml: speed: unknown key wamup"),
        ("speed.corpus", "pg19", "demo.yaml: speed.corpus: 'pg19' is not one of stdlib"),
        ("runs.0.options.budget", 4, "demo.yaml: runs[0].options.budget: 4 must be larger than sinks (4)"),
        ("corpora.0.modules", [], "demo.yaml: corpora[0].modules: [] is empty"),
        ("training.decay_share", 2, "train.yaml: training.decay_share: 2 is more than 1"),
        ("training.time_limit_s", "x", "train.yaml: training.time_limit_s: 'x' is not a number or null"),
    ],
)
def test_mistake_in_an_overlay_names_the_overlay(path, value, expected, tmp_path):
    overlay = STUDIES / expected.split(":")[0]
    assert line(BASE, mutated(overlay, tmp_path, path, value)).startswith(expected)


def test_mistake_under_an_overlay_names_the_base(tmp_path):
    base = mutated(BASE, tmp_path, "statistics.resamples", 1)
    assert line(base, STUDIES / "demo.yaml").startswith(
        "config.yaml: statistics.resamples: 1 is less than 100"
    )


def test_mistake_on_the_command_line_is_not_blamed_on_a_file():
    assert line(BASE, device="gpu").startswith("--config: device: 'gpu' is not one of cuda, cpu")
    speed = merged(BASE)["speed"] | {"step": 4}
    assert line(BASE, speed=speed).startswith("--config: speed: unknown key step; allowed: ")


def test_every_rule_of_the_schema_has_words():
    """A validator that _problem does not know would be described as a pattern."""
    known = {"additionalProperties", "required", "type", "enum", "const", "oneOf", "minItems", "uniqueItems"}
    known |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern"}
    known |= {"description", "items", "properties", "$ref", "$schema", "$defs", "title"}
    for node in schema_nodes(yaml.safe_load(SCHEMA.read_text())):
        assert set(node) <= known
        types = node.get("type", [])
        assert set([types] if isinstance(types, str) else types) <= set(TYPES)


def schema_nodes(node: dict):
    """A schema and all schemas inside it."""
    yield node
    inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("oneOf", [])]
    for child in [*inner, *(node[key] for key in ("items", "additionalProperties") if node.get(key))]:
        yield from schema_nodes(child)
