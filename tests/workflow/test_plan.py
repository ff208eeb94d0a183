"""What a plan says before anything runs: the main result comes first, and what it will take."""

import re

import pytest
from sinkbench.study.run_table import FAMILIES
from workflow_runner import Checkout


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> str:
    """A dry run of the toy study as if for a GPU."""
    checkout = Checkout.new(tmp_path_factory.mktemp("plan") / "checkout")
    done = checkout.snakemake("--dry-run", "--config", "device=cuda")
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_families_are_measured_in_their_order_the_main_result_first(plan):
    found = dict(
        re.findall(
            r"^rule ([a-z]+)_(?:quality|speed):$(?:\n    .+)*?\n    priority: (\d+)", plan, re.MULTILINE
        )
    )
    ranked = sorted(found, key=lambda family: -int(found[family]))
    assert ranked == [family for family in FAMILIES if family in found] and ranked[0] == "baseline"


def test_models_are_compared_with_transformers_before_anything_is_measured(plan):
    ranks = re.findall(r"^rule (\w+):$(?:\n    .+)*?\n    priority: (\d+)", plan, re.MULTILINE)
    first = [name for name, rank in ranks if rank == max((rank for _, rank in ranks), key=int)]
    assert sorted(first) == ["self_check", "self_check", "tokenize_corpus"]


def test_it_ends_with_hours_and_memory(plan):
    *_, cost, memory = plan.strip().splitlines()
    jobs = r"to do: 9 perplexities, 3 recalls and \d+ timings or profiles; "
    assert re.match(f"{jobs}.* hours on an A800, .* on an H200", cost)
    assert memory.startswith("needs about ")


def test_jobs_ask_for_time_once_their_size_is_known(plan):
    """A token file that is still to be made leaves the time to be determined."""
    quality = re.search(r"^rule streaming_quality:$((?:\n    .+)*)", plan, re.MULTILINE)[1]
    assert "runtime=<TBD>" in quality
    timing = re.search(r"^rule streaming_speed:$((?:\n    .+)*)", plan, re.MULTILINE)[1]
    assert re.search(r"runtime=\d+", timing)
