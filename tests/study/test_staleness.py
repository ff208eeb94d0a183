"""The matrix of edits against the results that each makes old, and no others.

One toy study is finished once. Every row edits a copy and asks `stale`, which reads results alone, so that
Snakemake's record is no part of it. What follows from an old result is Snakemake's plan (test_edits).
"""

from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from edits import (
    LIBRARY,
    SCRIPTS,
    Edit,
    by_hand,
    code,
    comment,
    config,
    every,
    in_numbers,
    moved,
    nothing,
    other_tokenizer,
    other_weights,
)
from helpers import ROOT
from sinkbench.artifacts import digests, fingerprint
from sinkbench.report import catalogue
from sinkbench.study import study
from sinkbench.study.config import read_study
from sinkbench.study.staleness import stale
from snakemake.utils import update_config
from workflow_runner import Checkout

RESULTS = "results/toy"
FULL = "streaming-4+124"
NLL = f"nll/{FULL}/stdlib"
TABLE = "measurements"
STEPS, TEXT = f"speed/{FULL}.eager", f"continuations/{FULL}.eager"
DRAFTED, BY_MODEL = f"speed/{FULL}.eager-*k2", f"speed/{FULL}.eager-k2"
TIMED = {"speed/*", "profile/*"}
# Not `graph`, nor what has drafts: they take 256 steps and 32 rounds, whatever is asked.
STEPPED = {"speed/*[!h2]", "speed/*[!p]h", "profile/*"}
CONTINUED = {"continuations/*", "report/continuations"}
MEASURED = {"nll/*", *TIMED, "recall/*", "sinks/*", "continuations/*"}
CHECKED = {*MEASURED, "self_check/*"}
FINDINGS = "report/findings"
STUDY_PAGES = {"report/landing", FINDINGS, "report/continuations"}
FROM_TABLE = {
    "tables/*",
    "figures/*",
    "report/landing",
    FINDINGS,
    "report/provenance",
    "report/gpu_reference",
}
FILES = ("config.yaml", "workflow/studies/demo.yaml", "tests/toy.yaml")
SWEEP = ("runs", 4, "options", "budget")
TABLE_OF_ENGINES = f"{LIBRARY}/engines/table.py"


def library(path: str) -> Edit:
    """An edit of a module of the library."""
    return code(f"{LIBRARY}/{path}")


def merged(files: list) -> dict:
    """The config of these files."""
    config = {}
    for file in files:
        update_config(config, yaml.safe_load(Path(file).read_text()))
    return config


def telling(word: str) -> set[str]:
    """Tables and figures of the toy study that state this fact of the config."""
    shown = merged([ROOT / name for name in FILES])
    kinds = [(kind, name) for kind in ("tables", "figures") for name in shown[kind]]
    return {
        f"{kind}/{name}" for kind, name in kinds if word in catalogue.job_spec(kind, name, shown)["fields"]
    }


# The page that shows the first figure is made of its code as well.
PARETO = {"figures/pareto", "report/landing"}
# edit: results that it makes old, as patterns; what is made from them follows
MATRIX = {
    "nothing": (nothing, set()),
    "a comment in every script and module": (every(comment, *SCRIPTS), set()),
    "every script touched": (every(Path.touch, *SCRIPTS), set()),
    "model, tokenizer and schemas touched": (
        every(Path.touch, "resources/**/*", "workflow/**/*.yaml"),
        set(),
    ),
    "a moved checkout": (moved, set()),
    "key model.dtype": (config("model", to={"dtype": "bfloat16"}), {*CHECKED, TABLE, *STUDY_PAGES}),
    "key corpora.max_tokens": (
        config("corpora", 0, "max_tokens", to=1100),
        {"tokens/*", *CHECKED, TABLE},
    ),
    "key corpora.samples": (config("corpora", 0, "samples", to=8), {"nll/recompute-*", TABLE}),
    "key evaluation.chunk_tokens": (
        config("evaluation", "chunk_tokens", to=128),
        {*CHECKED, TABLE},
    ),
    "key runs: grown": (config(*SWEEP, to=[64, 32, 16]), {TABLE}),
    "key runs: shrunk": (config(*SWEEP, to=[64]), {TABLE}),
    "key speed.steps": (config("speed", "steps", to=5), {*STEPPED, TABLE, *telling("steps"), FINDINGS}),
    "key statistics.seed": (config("statistics", "seed", to=5), {DRAFTED, TABLE}),
    "key statistics.confidence": (
        config("statistics", "confidence", to=0.9),
        {TABLE, *telling("confidence"), FINDINGS},
    ),
    "key statistics.position_bin": (
        config("statistics", "position_bin", to=64),
        {TABLE, *telling("position_bin")},
    ),
    "key tables: shrunk": (config("tables", to=["headline"]), {"report/landing"}),
    "key figures: shrunk": (config("figures", to=["pareto"]), {"report/landing"}),
    "key claims": (config("claims", to=["sinks"]), {*telling("claims"), "report/landing", FINDINGS}),
    "key recall.seed": (config("recall", "seed", to=1), {"recall/*", TABLE}),
    "key recall.passage_tokens": (
        config("recall", "passage_tokens", to=12),
        {"recall/*", TABLE, *telling("passage_tokens")},
    ),
    "key recall.methods": (config("recall", "methods", to=["dense"]), {TABLE}),
    "key sink_shares.tokens": (config("sink_shares", "tokens", to=64), {"sinks/*", TABLE}),
    "module attention/sink_shares.py": (library("attention/sink_shares.py"), {"sinks/*", TABLE}),
    "module text/repeats.py": (library("text/repeats.py"), {"recall/*", TABLE}),
    "module report/tables/recall.py": (library("report/tables/recall.py"), {"tables/recall"}),
    "key continuations.seed": (config("continuations", "seed", to=1), CONTINUED),
    "module policies/window.py": (library("policies/window.py"), {"nll/window-*", TABLE}),
    "module quantization/weight_only.py": (
        library("quantization/weight_only.py"),
        {"nll/*int4_mlp/*", "speed/*int4_mlp.eager", TABLE},
    ),
    "module engines/hf.py": (library("engines/hf.py"), {"speed/dense.hf", "continuations/dense.hf", TABLE}),
    "module engines/speculation/verification.py": (
        library("engines/speculation/verification.py"),
        {DRAFTED, TABLE},
    ),
    "module engines/speculation/lookup.py": (library("engines/speculation/lookup.py"), {DRAFTED, TABLE}),
    "module text/corpora/files.py": (library("text/corpora/files.py"), set()),
    "module attention/chunked.py": (library("attention/chunked.py"), {*CHECKED, TABLE}),
    "module model/families/gpt_neox.py": (library("model/families/gpt_neox.py"), CHECKED),
    "module model/families/_rotary.py": (library("model/families/_rotary.py"), {*CHECKED, TABLE}),
    "another model family": (library("model/families/qwen3.py"), set()),
    "module results/aggregate.py": (library("results/aggregate.py"), {TABLE}),
    "module report/figures/_style.py": (library("report/figures/_style.py"), {"figures/*", "report/landing"}),
    "module report/figures/pareto.py": (library("report/figures/pareto.py"), PARETO),
    "module report/figures/phase.py": (library("report/figures/phase.py"), {"figures/phase"}),
    "module report/tables/documents.py": (library("report/tables/documents.py"), {"tables/documents"}),
    "module study/staleness.py": (library("study/staleness.py"), set()),
    "module measure/profile.py": (library("measure/profile.py"), {"profile/*", TABLE}),
    "module measure/self_check.py": (library("measure/self_check.py"), {"self_check/*", TABLE}),
    "a new engine's row": (code(TABLE_OF_ENGINES), set()),
    "script measure.py": (code("scripts/measure.py"), {*CHECKED, TABLE}),
    "script render.py": (code("scripts/render.py"), {"tables/*", "figures/*", "report/*"}),
    "other weights, same date": (other_weights("demo-model"), {*MEASURED, "self_check/model"}),
    "another draft, same date": (other_weights("demo-draft"), {BY_MODEL, "self_check/draft"}),
    "another tokenizer, same date": (other_tokenizer, {"tokens/*", *CHECKED, "report/continuations"}),
    "a table edited by hand": (by_hand(f"{RESULTS}/tables/headline.md"), {"tables/headline"}),
    "a figure edited by hand": (by_hand(f"{RESULTS}/figures/pareto.svg"), {"figures/pareto"}),
    "the measurements' CSV edited by hand": (by_hand(f"{RESULTS}/measurements.csv"), {TABLE}),
    "the measurements edited": (in_numbers(f"{RESULTS}/measurements.parquet", "value"), {TABLE, *FROM_TABLE}),
    "NLLs edited": (in_numbers(f"{RESULTS}/{NLL}.parquet", "nll"), {NLL, TABLE}),
    "times edited": (
        in_numbers(f"{RESULTS}/speed/{FULL}.eager.parquet", "ms"),
        {f"speed/{FULL}.eager", TABLE},
    ),
    "a continuation edited": (
        in_numbers(f"{RESULTS}/{TEXT}.parquet", "nll"),
        {TEXT, "report/continuations"},
    ),
    "a result damaged": (by_hand(f"{RESULTS}/{NLL}.parquet"), {NLL, TABLE}),
}


@pytest.fixture
def checkout(finished, tmp_path, monkeypatch) -> Checkout:
    """A copy of the finished study without Snakemake's record, and its folder the current one."""
    copy = finished.copy(tmp_path / "copy", ".snakemake", "logs")
    monkeypatch.chdir(copy.folder)
    return copy


def study_of(checkout: Checkout, monkeypatch) -> study.Study:
    """The checkout's study, with the code that it has now."""
    files = [str(checkout.folder / name) for name in (*FILES[:2], "toy.yaml")]
    monkeypatch.setattr(fingerprint, "ROOT", checkout.code)
    monkeypatch.setattr(catalogue, "ROOT", checkout.code)
    return read_study(merged(files), checkout.folder / "workflow/schemas/config.schema.yaml", files)


def old(checkout: Checkout, monkeypatch) -> dict[str, str]:
    """Why each result that is old is so, by its path below the results without an ending."""
    found = stale(study_of(checkout, monkeypatch), RESULTS)
    return {str(Path(path).relative_to(RESULTS).with_suffix("")): why for path, why in found.items()}


def names_of(results: Path) -> set[str]:
    """Results of a study, by their paths below `results` without an ending."""
    files = [path.relative_to(results) for path in results.rglob("[!.]*.*")]
    return {str(path.with_suffix("")) for path in files}


@pytest.mark.parametrize("edit", MATRIX)
def test_an_edit_runs_what_it_makes_stale_and_nothing_else(checkout, monkeypatch, edit):
    change, patterns = MATRIX[edit]
    change(checkout)
    monkeypatch.chdir(checkout.folder)
    names = names_of(checkout.folder / RESULTS)
    expected = {pattern: {name for name in names if fnmatch(name, pattern)} for pattern in patterns}
    assert all(expected.values())
    assert set(old(checkout, monkeypatch)) == set().union(*expected.values())


@pytest.mark.parametrize(
    ("name", "result", "lost"),
    [
        ("measurements.csv", TABLE, "measurements.csv"),
        ("environment.json", TABLE, "environment.json"),
        ("tables/headline.tex", "tables/headline", "headline.tex"),
        ("figures/pareto.pdf", "figures/pareto", "pareto.pdf"),
    ],
)
def test_a_file_that_was_deleted_is_missing_and_not_edited(checkout, monkeypatch, name, result, lost):
    (checkout.folder / RESULTS / name).unlink()
    assert old(checkout, monkeypatch)[result] == f"{lost} is missing"


@pytest.mark.parametrize("weights_are_here", [True, False])
def test_another_transformers_compares_again_and_measures_nothing(checkout, monkeypatch, weights_are_here):
    """What cannot be compared here is not compared: a study is rendered where there is no model."""
    monkeypatch.setattr(digests, "version", lambda package: "99.0")
    if not weights_are_here:
        for path in checkout.folder.glob("resources/*/*.safetensors"):
            path.unlink()
    found = dict.fromkeys(("self_check/model", "self_check/draft"), "made from other transformers")
    assert old(checkout, monkeypatch) == (found if weights_are_here else {})
