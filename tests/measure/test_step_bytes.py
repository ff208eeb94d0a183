"""The bytes that a timed step must read, and those that only lie in memory."""

import pytest
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.history import HEADROOM
from sinkbench.engines.table import engine_row
from sinkbench.measure import speed
from sinkbench.measure.bench import Bench
from speed_jobs import SETTINGS


def test_bytes_per_step_count_weights_and_visible_keys(tokens_path, tmp_path, tiny):
    speed.measure(SETTINGS, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    weights = sum(p.numel() for p in tiny.parameters()) - tiny.gpt_neox.embed_in.weight.numel()
    keys = 33 * 2 * 3 * 64  # visible tokens x (key, value) x layers x width
    assert notes["points"][0]["bytes_per_step"] == 4 * (weights + keys)


def test_a_batch_reads_weights_once_and_keys_for_every_stream(tokens_path):
    benches = (Bench(SETTINGS | {"batch": batch}, tokens_path) for batch in (1, 4))
    single, four = map(speed.Timer, benches)
    keys = 33 * 2 * 3 * 64 * 4
    assert four._bytes_per_step(80) - single._bytes_per_step(80) == 3 * keys


@pytest.mark.parametrize(
    ("policy", "options", "keys", "passes"),
    [
        (
            "select",
            {"selected_tokens": 8},
            50 / 2 + 8 / 2,
            0,
        ),  # every key of the store, and the chosen values
        ("repeat_lookup", {"selected_tokens": 8}, 8, 0),
        ("reprefill", {}, 0, 1),
    ],
)
def test_a_step_reads_its_share_of_a_refresh(tokens_path, policy, options, keys, passes):
    options |= {"budget": 32, "sinks": 4, "refresh_every": 6, "lookback": 50}
    settings = SETTINGS | {"policy": policy, "options": options, "engine": engine_row("eager")}
    refreshed, streaming = (
        speed.Timer(Bench(settings, tokens_path)),
        speed.Timer(Bench(SETTINGS, tokens_path)),
    )
    key, weights = 2 * 3 * 64 * 4, streaming._bytes_per_step(80) - 33 * 2 * 3 * 64 * 4
    more = refreshed._bytes_per_step(80) - streaming._bytes_per_step(80)
    assert more == round((keys * key + passes * weights) / 6)
    assert refreshed._bytes_per_step(10) < streaming._bytes_per_step(80)  # nothing to refresh yet


def test_a_store_is_memory_that_no_step_reads(tokens_path, tmp_path):
    options = {"budget": 32, "sinks": 4, "refresh_every": 2, "lookback": 50, "selected_tokens": 8}
    settings = SETTINGS | {"policy": "repeat_lookup", "options": options}
    speed.measure(settings, tokens_path, tmp_path / "steps.parquet")
    _, notes = read_table(tmp_path / "steps.parquet")
    far, number = notes["points"][1], 3 * 4  # bytes of one dimension of all layers' heads
    tokens = 50 + 50 // HEADROOM
    assert far["store_bytes"] == number * tokens * (64 + 64 + 4 * 4)  # keys are widened by the rotary part
    assert far["cache_bytes"] - far["store_bytes"] == number * (33 + 33 + 4) * 64
