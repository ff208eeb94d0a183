"""Refreshed and lazily pruned caches: limits, definitions, and that engines decode what is scored."""

import pytest
import torch
from helpers import VOCABULARY, decode, model_and_text, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_cache import naive_nll
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines import static
from sinkbench.engines.eager import Engine as Eager
from sinkbench.errors import UserError
from sinkbench.policies import Visibility, build

LENGTH = 64
WINDOW = 10
SINKS = [0, 1, 4]
NEVER = 10 * LENGTH


def policy(word: str, sinks: int, **options):
    return build(word, {"budget": sinks + WINDOW, "sinks": sinks, **options})


# Segments shorter, as long and longer than the chunk and than what is recent; per head and shared choice.
VARIANTS = {
    "lazy-1": ("lazy", {"prune_every": 1}),
    "lazy-4": ("lazy", {"prune_every": 4}),
    "lazy-17": ("lazy", {"prune_every": 17}),
    "reprefill-1": ("reprefill", {"refresh_every": 1, "lookback": WINDOW}),
    "reprefill-5": ("reprefill", {"refresh_every": 5, "lookback": 16}),
    "reprefill-23": ("reprefill", {"refresh_every": 23, "lookback": NEVER}),
    "select-1": (
        "select",
        {
            "refresh_every": 1,
            "lookback": 20,
            "selected_tokens": 4,
            "query_window": 1,
            "pool_kernel": 1,
        },
    ),
    "select-3": (
        "select",
        {
            "refresh_every": 3,
            "lookback": WINDOW,
            "selected_tokens": 9,
            "query_window": 10,
            "pool_kernel": 5,
        },
    ),
    "select-6": (
        "select",
        {
            "refresh_every": 6,
            "lookback": NEVER,
            "selected_tokens": 5,
            "query_window": 4,
            "pool_kernel": 3,
        },
    ),
    "copy-1": (
        "repeat_lookup",
        {
            "refresh_every": 1,
            "lookback": NEVER,
            "selected_tokens": 6,
            "min_match": 1,
            "copied_span": 2,
            "match_ends": 1,
        },
    ),
    "copy-4": (
        "repeat_lookup",
        {
            "refresh_every": 4,
            "lookback": 40,
            "selected_tokens": 5,
            "min_match": 2,
            "copied_span": 6,
            "match_ends": 4,
        },
    ),
    "select-14": (
        "select",
        {
            "refresh_every": 14,
            "lookback": 30,
            "selected_tokens": 5,
            "query_window": 3,
            "shared": True,
        },
    ),
}
ENGINES = {
    "pruned": [Eager],
    "refreshed": [Eager, static.Engine],
    "refreshed_with_queries": [Eager, static.Engine],
}
variants = pytest.mark.parametrize("name", VARIANTS)


@pytest.fixture(scope="module")
def model_text():
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 32,
        "initializer_range": 0.4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5},
    }
    model, ids = model_and_text(shape, 3, LENGTH)
    ids[40:52] = ids[14:26]  # something to copy, from the window and from before it
    return model, ids


def score(model, ids, chosen, chunk_tokens: int = 7) -> torch.Tensor:
    return chosen.nll_at(Evaluator(model, chunk_tokens), ids, range(len(ids) - 1))


def agree(left: torch.Tensor, right: torch.Tensor, tolerance: float = 1e-7) -> None:
    torch.testing.assert_close(left, right, atol=tolerance, rtol=0)


@variants
@pytest.mark.parametrize("sinks", [0, 3])
def test_the_evaluator_computes_the_definition(model_text, name, sinks):
    word, options = VARIANTS[name]
    chosen = policy(word, sinks, **options)
    agree(score(*model_text, chosen), naive_nll(*model_text, chosen))


@variants
@pytest.mark.parametrize("sinks", SINKS)
def test_the_engine_decodes_what_is_scored(model_text, name, sinks):
    """From the first token on, from within the fill phase, from a refresh, and from between two."""
    model, ids = model_text
    word, options = VARIANTS[name]
    chosen = policy(word, sinks, **options)
    exact = score(model, ids, chosen)
    for start in (1, 3, 12, 24, 41, LENGTH - 1):
        for build_engine in ENGINES[chosen.cache]:
            agree(decode(build_engine(model, chosen, Evaluator(model, 9)), ids, start), exact[start - 1 :])


@variants
def test_chunks_do_not_matter(model_text, name):
    word, options = VARIANTS[name]
    chosen = policy(word, 4, **options)
    agree(score(*model_text, chosen, 4), score(*model_text, chosen, LENGTH))


@pytest.mark.parametrize("sinks", SINKS)
@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("lazy", {"prune_every": 1}),
        ("reprefill", {"refresh_every": NEVER, "lookback": 20}),
        ("select", {"refresh_every": NEVER, "lookback": 20, "selected_tokens": 5}),
        ("select", {"refresh_every": 3, "lookback": 20, "selected_tokens": 0}),
        ("repeat_lookup", {"refresh_every": NEVER, "lookback": 20, "selected_tokens": 5}),
        ("repeat_lookup", {"refresh_every": 3, "lookback": 20, "selected_tokens": 0}),
    ],
)
def test_limits_that_are_streaming(model_text, word, options, sinks):
    agree(score(*model_text, policy(word, sinks, **options)), score(*model_text, policy("streaming", sinks)))


@settings(max_examples=15, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 1000), sinks=st.integers(0, 4), recent=st.integers(1, 12))
def test_reprefill_before_every_token_is_recompute(shape, seed, sinks, recent):
    model, ids = model_and_text(shape, seed, 40)
    budget = {"budget": sinks + recent, "sinks": sinks}
    exact = Evaluator(model, 64).recompute(ids, list(range(39)), Visibility(sinks, recent))
    found = score(model, ids, build("reprefill", {**budget, "refresh_every": 1, "lookback": recent}))
    # transformers rotates in float32, and the attention scores of wide random layers are hundreds.
    agree(found, exact, 1e-3)


@pytest.mark.parametrize("every", [3, 8])
def test_a_refresh_from_the_window_alone_starts_a_text_of_its_own(model_text, every):
    """With H = W a segment is streaming over [sinks | window | segment] as if nothing else had been."""
    model, ids = model_text
    chosen, evaluator, budget = (
        policy("reprefill", 4, refresh_every=every, lookback=WINDOW),
        Evaluator(model, 50),
        4 + WINDOW,
    )
    found = score(model, ids, chosen)
    for start in range(every * (1 + budget // every), LENGTH - 1 - every, every):
        alone = torch.cat((ids[:4], ids[start - WINDOW : start + every + 1]))
        agree(found[start : start + every], evaluator.stream(alone, Visibility(4, WINDOW))[budget:])


@pytest.mark.parametrize("sinks", SINKS)
def test_choosing_everything_is_dense(model_text, sinks):
    model, ids = model_text
    chosen = build(
        "select",
        {"budget": LENGTH, "sinks": sinks, "refresh_every": 5, "lookback": LENGTH, "selected_tokens": 40},
    )
    agree(score(model, ids, chosen), Evaluator(model, 16).dense(ids))


@variants
def test_a_refresh_changes_something(model_text, name):
    """Or all of the above would hold for a policy that does nothing."""
    word, options = VARIANTS[name]
    if name == "lazy-1":
        pytest.skip("it is streaming")
    apart = score(*model_text, policy(word, 4, **options)) - score(*model_text, policy("streaming", 4))
    assert float(apart.abs().max()) > 0.01


def test_where_nothing_repeats_copy_is_streaming(model_text):
    """The tokens that stay are those of the window, in another order."""
    model, _ = model_text
    ids = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(1))[:40]
    chosen = policy("repeat_lookup", 4, refresh_every=1, lookback=30, selected_tokens=5)
    agree(score(model, ids, chosen), score(model, ids, policy("streaming", 4)))


def test_between_prunes_a_lazy_cache_is_dense_until_the_first(model_text):
    model, ids = model_text
    chosen = policy("lazy", 4, prune_every=NEVER)
    agree(score(model, ids, chosen), Evaluator(model, 16).dense(ids))


@pytest.mark.parametrize(("every", "most"), [(1, 14), (4, 17), (17, 30)])
def test_keys_of_a_lazy_cache_are_counted(every, most):
    visibility = policy("lazy", 4, prune_every=every).visibility(0)
    seen = [visibility.keys_at(t) - 1 for t in range(100, 100 + every)]
    assert (min(seen), max(seen)) == (14, most)


@pytest.mark.parametrize(
    ("word", "options", "said"),
    [
        ("lazy", {"prune_every": 0}, "options.prune_every: 0 is not at least 1"),
        ("reprefill", {"refresh_every": 4, "lookback": 9}, "options.lookback: 9 is not at least 10"),
        (
            "select",
            {"refresh_every": 4, "lookback": 20, "selected_tokens": 10},
            "options.selected_tokens: 10 leaves nothing",
        ),
        (
            "select",
            {"refresh_every": 4, "lookback": 20, "selected_tokens": 2, "pool_kernel": 4},
            "options.pool_kernel: 4 is even",
        ),
        (
            "select",
            {"refresh_every": 4, "lookback": 20, "selected_tokens": 2, "query_window": 11},
            "options.query_window: 11 is more",
        ),
        (
            "repeat_lookup",
            {"refresh_every": 4, "lookback": 20, "selected_tokens": 2, "min_match": 7},
            "options.min_match: 7 is more than 6",
        ),
        (
            "select",
            {"refresh_every": 4, "lookback": 20, "selected_tokens": 2, "shared": 1},
            "options.shared: 1 is not true or false",
        ),
    ],
)
def test_bad_settings_are_one_line(word, options, said):
    with pytest.raises(UserError, match=said):
        policy(word, 4, **options)
