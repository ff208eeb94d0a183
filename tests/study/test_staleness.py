"""The matrix of edits against the jobs that must run, and no others, with Snakemake's record and without it.

One toy study is finished once; every row copies it, edits the copy and asks for a dry run.
"""

import os
import shutil
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from helpers import ROOT
from safetensors.torch import load_file, save_file
from sinkbench.artifacts.parquet import read_table
from sinkbench.study.staleness import Product
from workflow_runner import Checkout

LIBRARY = "scripts/sinkbench"
NLL = "results/toy/nll/streaming-4+124/stdlib.parquet"
STEPS = "results/toy/speed/streaming-4+124.eager.parquet"
CONTINUED = "results/toy/continuations/streaming-4+124.eager.parquet"
EDITED = {"results/toy/measurements.parquet": "value", NLL: "nll", STEPS: "ms", CONTINUED: "nll"}  # columns
MEASURED = {"quality": 9, "speed": 8, "profile": 1, "prompt": 3}  # jobs of tests/toy.yaml
TABLES, FIGURES = 9, 12
RENDERED = {"table": TABLES, "figure": FIGURES, "landing": 1, "findings": 1, "provenance": 1}
AGGREGATED = {"aggregate": 1, **RENDERED}
ALL_MEASURED = {**MEASURED, **AGGREGATED, "continuations": 1}
EVERYTHING = {"tokenize": 1, **ALL_MEASURED}


def config(*keys, to):
    """An edit of the study: `to` is a value, or a function of the value that was there."""

    def edit(checkout: Checkout) -> None:
        whole = inner = checkout.config()
        for key in keys[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[key]
        inner[keys[-1]] = to(inner.get(keys[-1])) if callable(to) else to
        checkout.write_config(whole)

    return edit


def code(path: str, line: str = "EDITED = True"):
    """An edit of a script or module."""

    def edit(checkout: Checkout) -> None:
        file = checkout.folder / path
        file.write_text(f"{file.read_text()}\n{line}\n")

    return edit


def every(edit_file, *patterns: str):
    """An edit of all files that match."""

    def edit(checkout: Checkout) -> None:
        for pattern in patterns:
            for path in filter(Path.is_file, checkout.folder.glob(pattern)):
                edit_file(path)

    return edit


def comment(path: Path) -> None:
    path.write_text(f"{path.read_text()}\n# a comment\n")


def nothing(checkout: Checkout) -> None:
    pass


def moved(checkout: Checkout) -> None:
    target = checkout.folder.with_name("moved")
    checkout.folder.rename(target)
    checkout.folder, checkout.toy = target, target / "toy.yaml"


def other_weights(folder: str):
    """Another checkpoint with the date of the one that it replaces, as a copy that keeps dates has."""

    def edit(checkout: Checkout) -> None:
        path = checkout.folder / f"resources/{folder}/model.safetensors"
        facts, tensors = path.stat(), load_file(path)
        next(iter(tensors.values())).mul_(1.5)
        save_file(tensors, path, metadata={"format": "pt"})
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    return edit


def other_tokenizer(checkout: Checkout) -> None:
    path = checkout.folder / "resources/demo-model/tokenizer.json"
    facts = path.stat()
    path.write_text(path.read_text() + "\n")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def by_hand(path: str):
    """An edited result whose date stays."""

    def edit(checkout: Checkout) -> None:
        file = checkout.folder / path
        facts = file.stat()
        file.write_bytes(file.read_bytes().replace(b"streaming", b"STREAMING") + b" ")
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    return edit


def in_numbers(path: str):
    """A result whose numbers were edited with a tool that keeps everything else."""

    def edit(checkout: Checkout) -> None:
        table = pyarrow.parquet.read_table(checkout.folder / path)
        (place,) = (place for place, field in enumerate(table.schema) if field.name == EDITED[path])
        column = pyarrow.array(table.column(place).to_pandas() + 1, from_pandas=True)
        table = table.set_column(place, table.schema.field(place), column.cast(table.schema.types[place]))
        pyarrow.parquet.write_table(table, checkout.folder / path)

    return edit


SCRIPTS = ("scripts/*.py", f"{LIBRARY}/**/*.py")
SWEEP = ("runs", 4, "options", "budget")
HEADLINE = {"figure": 1, "landing": 1}  # the landing page shows the first figure
ALL_FIGURES = {"figure": FIGURES, "landing": 1}
SMALLER = {"quality": 1, **AGGREGATED}
# edit: what must run (jobs by rule), whether Snakemake has its record of the results or not
MATRIX = {
    "nothing": (nothing, {}),
    "a comment in every script and module": (every(comment, *SCRIPTS), {}),
    "every script touched": (every(Path.touch, *SCRIPTS), {}),
    "model, tokenizer and schemas touched": (every(Path.touch, "resources/**/*", "workflow/**/*.yaml"), {}),
    "a moved checkout": (moved, {}),
    "key model.dtype": (config("model", to={"dtype": "bfloat16"}), ALL_MEASURED),
    "key corpora.max_tokens": (config("corpora", 0, "max_tokens", to=1100), EVERYTHING),
    "key evaluation.chunk_tokens": (config("evaluation", "chunk_tokens", to=128), ALL_MEASURED),
    "key runs: grown": (config(*SWEEP, to=[64, 32, 16]), SMALLER),
    "key runs: shrunk": (config(*SWEEP, to=[64]), AGGREGATED),
    "key speed.steps": (
        config("speed", "steps", to=5),
        {"speed": 8, "profile": 1, **AGGREGATED},
    ),
    "key statistics.seed": (config("statistics", "seed", to=5), {"speed": 1, **AGGREGATED}),
    "key statistics.position_bin": (config("statistics", "position_bin", to=64), AGGREGATED),
    "key tables: shrunk": (config("tables", to=["headline"]), {"landing": 1}),
    "key figures: shrunk": (config("figures", to=["pareto"]), {"landing": 1}),
    "key claims": (config("claims", to=["sinks"]), {"table": 1, "landing": 1, "findings": 1}),
    "key continuations.seed": (config("continuations", "seed", to=1), {"prompt": 3, "continuations": 1}),
    "module policies/window.py": (code(f"{LIBRARY}/policies/window.py"), {"quality": 2, **AGGREGATED}),
    "module quantizations/int4_mlp.py": (
        code(f"{LIBRARY}/quantizations/int4_mlp.py"),
        {"quality": 1, "speed": 1, **AGGREGATED},
    ),
    "module engines/hf.py": (
        code(f"{LIBRARY}/engines/hf.py"),
        {"speed": 1, "prompt": 1, "continuations": 1, **AGGREGATED},
    ),
    "module aggregation.py": (code(f"{LIBRARY}/aggregation.py"), AGGREGATED),
    "module drawing.py: the figures' style": (code(f"{LIBRARY}/drawing.py"), ALL_FIGURES),
    "module figures/pareto.py: one figure's style": (code(f"{LIBRARY}/figures/pareto.py"), HEADLINE),
    "module figures/phase.py: another one's": (code(f"{LIBRARY}/figures/phase.py"), {"figure": 1}),
    "module tables/documents.py": (code(f"{LIBRARY}/tables/documents.py"), {"table": 1}),
    "module freshness.py": (code(f"{LIBRARY}/freshness.py"), {}),
    "script measure_quality.py": (code("scripts/measure_quality.py"), {"quality": 9, **AGGREGATED}),
    "script render_figure.py": (code("scripts/render_figure.py"), ALL_FIGURES),
    "other weights, same date": (other_weights("demo-model"), ALL_MEASURED),
    "another draft, same date": (other_weights("demo-draft"), {"speed": 1, **AGGREGATED}),
    "another tokenizer, same date": (other_tokenizer, EVERYTHING),
    "a table edited by hand": (by_hand("results/toy/tables/headline.md"), {"table": 1}),
    "a figure edited by hand": (by_hand("results/toy/figures/pareto.svg"), HEADLINE),
    "the measurements' CSV edited by hand": (by_hand("results/toy/measurements.csv"), AGGREGATED),
    "the measurements edited": (in_numbers("results/toy/measurements.parquet"), AGGREGATED),
    "NLLs edited": (in_numbers(NLL), SMALLER),
    "times edited": (in_numbers(STEPS), {"speed": 1, **AGGREGATED}),
    "a continuation edited": (in_numbers(CONTINUED), {"prompt": 1, "continuations": 1}),
    "a result damaged": (by_hand(NLL), SMALLER),
}


def table() -> str:
    """The matrix as docs/trust.md has it."""
    rows = [f"| {edit} | {in_words(jobs)} |" for edit, (_, jobs) in MATRIX.items()]
    return "\n".join(["| Edit | Jobs that run |", "| --- | --- |", *rows])


def in_words(jobs: dict[str, int]) -> str:
    """Jobs by rule: those of measuring one by one, the rest together where all of it runs."""
    for words, meant in {"none": {}, "all": EVERYTHING, "all but tokenize": ALL_MEASURED}.items():
        if jobs == meant:
            return words
    together = AGGREGATED if AGGREGATED.items() <= jobs.items() else {}
    own = [f"{count} {rule}" for rule, count in jobs.items() if rule not in together]
    return ", ".join([*own, *(["aggregate and all that is rendered"] if together else [])])


def test_the_documented_matrix_is_the_tested_one():
    assert table() in (ROOT / "docs/trust.md").read_text()


FAMILIES = ("_quality", "_speed", "_prompt")  # rules that share a body


def by_rule(planned: set[str]) -> dict[str, int]:
    """Number of jobs by rule, those of all families together."""
    return dict(Counter(_shared(job.split()[0]) for job in planned))


def _shared(rule: str) -> str:
    return next((family[1:] for family in FAMILIES if rule.endswith(family)), rule)


@pytest.mark.parametrize("record", ["with .snakemake", "without .snakemake"])
@pytest.mark.parametrize("edit", MATRIX)
def test_an_edit_runs_what_it_makes_stale_and_nothing_else(finished, tmp_path, edit, record):
    checkout = finished.copy(tmp_path / "copy", *([".snakemake"] if record.startswith("without") else []))
    change, expected = MATRIX[edit]
    change(checkout)
    assert by_rule(checkout.planned()) == expected


def report(checkout: Checkout) -> tuple[int, str]:
    """What the README's command says, and whether it made a report."""
    done = checkout.snakemake("--report", "report.html")
    assert (done.returncode == 0) == (checkout.folder / "report.html").exists()
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        ("key evaluation.chunk_tokens", "made with another config or other code"),
        ("key statistics.position_bin", "measurements.parquet: made with another config or other code"),
        ("other weights, same date", "made from other model"),
        (
            "module figures/pareto.py: one figure's style",
            "pareto.svg: made with another config or other code",
        ),
        ("a table edited by hand", "headline.html: headline.md was edited"),
        ("the measurements' CSV edited by hand", "measurements.parquet: measurements.csv was edited"),
        ("NLLs edited", f"{NLL}: stdlib.parquet was edited"),
    ],
)
def test_a_report_of_old_results_is_refused_in_a_line_with_the_command(finished, tmp_path, edit, line):
    checkout = finished.copy(tmp_path / "copy", ".snakemake", "report.html")
    MATRIX[edit][0](checkout)
    code, said = report(checkout)
    assert code == 1
    assert line in said and "before a report: snakemake --cores 1" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        ("NLLs edited", f"{NLL}: stdlib.parquet was edited; it is made again"),
        (
            "the measurements' CSV edited by hand",
            "results/toy/measurements.parquet: measurements.csv was edited; it is made again",
        ),
    ],
)
def test_what_was_edited_is_named_in_one_line(finished, tmp_path, edit, line):
    checkout = finished.copy(tmp_path / "copy", ".snakemake")
    MATRIX[edit][0](checkout)
    assert [said for said in checkout.snakemake("--dry-run").stdout.splitlines() if "was edited" in said] == [
        line
    ]


def test_an_edited_number_is_measured_again_and_comes_back(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    MATRIX["NLLs edited"][0](checkout)
    assert checkout.snakemake(NLL).returncode == 0
    same, edited = (read_table(folder.folder / NLL)[0] for folder in (finished, checkout))
    assert edited.equals(same)
    assert checkout.planned() == set()


@pytest.mark.parametrize("asked", [[NLL], ["--until", "streaming_quality"]])
@pytest.mark.parametrize("edit", ["key evaluation.chunk_tokens", "NLLs edited", "nothing"])
def test_a_target_that_is_named_is_compared_as_well(finished, tmp_path, edit, asked):
    """Without Snakemake's record, and nothing that the target does not need is made."""
    checkout = finished.copy(tmp_path / "copy", ".snakemake")
    MATRIX[edit][0](checkout)
    planned = checkout.planned(*asked)
    assert ("streaming_quality streaming-4+124 stdlib" in planned) == (edit != "nothing")
    assert all(job.startswith("streaming_quality ") for job in planned)


def test_a_report_of_copied_results_is_made(finished, tmp_path):
    assert report(finished.copy(tmp_path / "copy", ".snakemake", "report.html"))[0] == 0


def test_tables_without_their_measurements_are_nothing(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy", ".snakemake", "report.html", "measurements.parquet")
    assert by_rule(checkout.planned()) == AGGREGATED
    assert "made from other measurements" in report(checkout)[1]


def test_a_copy_with_scrambled_dates_measures_nothing_again(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy", ".snakemake")
    for number, path in enumerate(sorted(checkout.folder.rglob("results/**/*.parquet"), reverse=True)):
        os.utime(path, (1e9 + number, 1e9 + number))
    assert set(by_rule(checkout.planned())) <= set(AGGREGATED) | {"continuations"}


def test_a_changed_text_is_tokenized_and_measured_again(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    text = checkout.folder / "book.txt"
    text.write_text("word " * 3000)
    entry = {"name": "stdlib", "kind": "files", "glob": "*.txt"}
    config("corpora", to=[entry])(checkout)
    assert checkout.snakemake("--until", "tokenize").returncode == 0
    assert set(by_rule(checkout.planned())) == set(ALL_MEASURED)
    facts = text.stat()
    text.write_text("wood " * 3000)
    os.utime(text, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert by_rule(checkout.planned())["tokenize"] == 1


def test_a_damaged_token_file_is_said_with_the_command_that_keeps_what_was_measured(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    path = checkout.folder / "results/toy/tokens/stdlib.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refused = checkout.snakemake("--dry-run")
    assert refused.returncode == 1
    assert "rm results/toy/tokens/stdlib.parquet && snakemake --cores 1 --until tokenize" in refused.stdout
    path.unlink()
    assert checkout.snakemake("--until", "tokenize").returncode == 0
    assert checkout.planned() == set()


def test_results_are_rendered_where_there_is_no_model(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy", ".snakemake")
    shutil.rmtree(checkout.folder / "resources/demo-draft")
    (checkout.folder / "resources/demo-model/model.safetensors").unlink()
    code(f"{LIBRARY}/figures/pareto.py")(checkout)
    assert by_rule(checkout.planned()) == HEADLINE


def test_results_that_do_not_say_what_they_were_made_from_are_old():
    """Such as those of before results did."""
    product = Product(Path("measurements.parquet"), "stamp", {}, {"study": "toy"})
    assert product.complaint == "made with another config or other code"
