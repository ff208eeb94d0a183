"""Edits of a finished study through Snakemake, with its record and without: what is planned.

All edits against all results are in tests/study/test_staleness.py.
"""

import os
import shutil

import pytest
from edits import LIBRARY, by_hand, code, config, in_numbers, nothing, other_weights
from sinkbench.artifacts.parquet import read_table
from workflow_runner import Checkout

RESULTS = "results/toy"
NLL = f"{RESULTS}/nll/streaming-4+124/stdlib.parquet"
SHOWN = {"tables", "figures", "pages"}
AGGREGATED = {"aggregate", *SHOWN}
RECORD = ".snakemake"
LINE = "before a report: snakemake --cores 1"
chunks = config("evaluation", "chunk_tokens", to=128)
edited_nll = in_numbers(NLL, "nll")
style = code(f"{LIBRARY}/report/figures/phase.py")


@pytest.fixture
def copied(finished, tmp_path):
    """A function that copies the finished study without some files and edits the copy."""

    def copy(edit=nothing, *ignored: str) -> Checkout:
        checkout = finished.copy(tmp_path / "copy", *ignored)
        edit(checkout)
        return checkout

    return copy


def report(checkout: Checkout) -> tuple[int, str]:
    """What the README's command says, and whether it made a report."""
    done = checkout.snakemake("--report", "report.html")
    assert (done.returncode == 0) == (checkout.folder / "report.html").exists()
    return done.returncode, done.stdout


def rules(planned: set[str]) -> set[str]:
    return {job.split()[0] for job in planned}


WINDOWS = {f"baseline_quality window-0+{budget} stdlib" for budget in (128, 32)}
SMALLER = "streaming_quality streaming-4+12 stdlib"
FULL = {"streaming_quality streaming-4+124 stdlib"}
STEPS = {
    *("recompute-4+124.fresh", "dense.hf", "streaming-4+124.eager", "streaming-4+124.graph"),
    *("streaming-4+124.eager-k2", "streaming-4+124.static", "streaming-4+124.eager_math"),
    "streaming-4+124-int4_mlp.eager",
}
# These take 256 steps, or 32 rounds from each place, at least, whatever fewer the config asks for.
AT_LEAST = {"streaming-4+124.graph", "streaming-4+124.eager-k2"}


@pytest.mark.parametrize(
    ("edit", "ignored", "expected"),
    [
        (nothing, [], set()),
        (nothing, [RECORD], set()),
        (
            config("runs", 4, "options", "budget", to=[64, 16]),
            [],
            {SMALLER, *AGGREGATED},
        ),
        (code(f"{LIBRARY}/policies/window.py"), [RECORD], {*WINDOWS, *AGGREGATED}),
        (by_hand(f"{RESULTS}/measurements.csv"), [], AGGREGATED),
        (by_hand(NLL), [RECORD], {*FULL, *AGGREGATED}),
        (style, [], {"figures", "pages"}),
    ],
    ids=["nothing", "nothing, no record", "config", "code", "hand-edited", "damaged", "style"],
)
def test_an_edit_plans_what_it_makes_stale_and_nothing_else(copied, edit, ignored, expected):
    assert copied(edit, *ignored).planned() == expected


def test_other_timing_settings_time_anew_and_score_nothing(copied):
    planned = copied(config("speed", "steps", to=5)).planned()
    timing = {job for job in planned if job.split()[0].endswith("_speed")}
    assert {job.split()[1] for job in timing} == STEPS - AT_LEAST
    assert rules(planned - timing) == {"profile", *AGGREGATED}


def test_other_weights_measure_all_anew_and_tokenize_nothing(copied):
    planned = rules(copied(other_weights("demo-model"), RECORD).planned())
    assert {"streaming_quality", "baseline_speed", "profile", "continuation", *AGGREGATED} <= planned
    assert "tokenize_corpus" not in planned


def test_what_was_edited_is_named_and_refused_by_a_report_in_one_line(copied):
    checkout = copied(edited_nll, RECORD, "report.html")
    line = f"{NLL}: stdlib.parquet was edited"
    planned = checkout.snakemake("--dry-run").stdout.splitlines()
    assert [said for said in planned if "was edited" in said] == [f"{line}; it is made again"]
    status, said = report(checkout)
    assert status == 1
    assert line in said and LINE in said and "Traceback" not in said


def test_an_edited_number_is_measured_again_and_comes_back(copied, finished):
    checkout = copied(edited_nll)
    assert checkout.snakemake(NLL).returncode == 0
    same, edited = (read_table(folder.folder / NLL)[0] for folder in (finished, checkout))
    assert edited.equals(same)
    assert checkout.planned() == set()


@pytest.mark.parametrize(
    ("edit", "asked", "expected"),
    [(edited_nll, NLL, FULL), (nothing, NLL, set()), (chunks, "streaming_quality", FULL)],
    ids=["edited", "nothing", "family"],
)
def test_a_target_that_is_named_is_compared_as_well(copied, edit, asked, expected):
    """Without Snakemake's record, and nothing that the target does not need is made."""
    planned = copied(edit, RECORD).planned(*([asked] if "/" in asked else ["--until", asked]))
    assert planned >= expected and rules(planned) <= {"streaming_quality"}
    assert bool(planned) == bool(expected)


def test_a_report_of_copied_results_is_made(copied):
    assert report(copied(nothing, RECORD, "report.html"))[0] == 0


def test_tables_without_their_measurements_are_nothing(copied):
    checkout = copied(nothing, RECORD, "report.html", "measurements.parquet")
    assert checkout.planned() == AGGREGATED
    assert "made from other measurements" in report(checkout)[1]


def test_a_copy_with_scrambled_dates_measures_nothing_again(copied):
    checkout = copied(nothing, RECORD)
    for number, path in enumerate(sorted(checkout.folder.rglob("results/**/*.parquet"), reverse=True)):
        os.utime(path, (1e9 + number, 1e9 + number))
    assert checkout.planned() <= AGGREGATED


def test_a_changed_text_is_tokenized_and_measured_again(copied):
    checkout = copied()
    text = checkout.folder / "book.txt"
    text.write_text("word " * 3000)
    config("corpora", to=[{"name": "stdlib", "kind": "files", "glob": "*.txt"}])(checkout)
    assert checkout.snakemake("tokenize").returncode == 0
    assert {"streaming_quality", "baseline_speed", "profile", "continuation", *AGGREGATED} <= rules(
        checkout.planned()
    )
    facts = text.stat()
    text.write_text("wood " * 3000)
    os.utime(text, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert "tokenize_corpus stdlib" in checkout.planned()


def test_a_damaged_token_file_is_said_with_the_command_that_keeps_what_was_measured(copied):
    checkout = copied()
    path = checkout.folder / f"{RESULTS}/tokens/stdlib.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refused = checkout.snakemake("--dry-run")
    assert refused.returncode == 1
    assert f"rm {RESULTS}/tokens/stdlib.parquet && snakemake --cores 1 tokenize" in refused.stdout
    path.unlink()
    assert checkout.snakemake("tokenize").returncode == 0
    assert checkout.planned() == set()


def test_results_are_rendered_where_there_is_no_model(copied):
    checkout = copied(style, RECORD)
    shutil.rmtree(checkout.folder / "resources/demo-draft")
    (checkout.folder / "resources/demo-model/model.safetensors").unlink()
    assert checkout.planned() == {"figures", "pages"}
