"""Keys and words of earlier configs, each with what it is called now.

A config that still says one of them is refused with a line that names the other. Read before the schema,
which knows the present names alone.
"""

import re
from collections.abc import Iterator

from sinkbench.errors import shown

ENGINES = {
    "stock": "hf",
    "stock_eager": "hf_eager",
    "stock_math": "hf_math",
    "stock_efficient": "hf_efficient",
    "stock_flash": "hf_flash",
    "reference": "paper",
    "reference_flash": "paper_flash",
}
POLICIES = {"copy": "repeat_lookup"}
# By the place of a key, a star for any index of a list.
KEYS = {
    "runs.*.with": "options",
    "runs.*.options.every": "refresh_every, or prune_every with policy lazy",
    "runs.*.options.chosen": "selected_tokens",
    "runs.*.options.observed": "query_window",
    "runs.*.options.pool": "pool_kernel",
    "runs.*.options.least": "min_match",
    "runs.*.options.span": "copied_span",
    "runs.*.options.back": "match_ends",
    "runs.*.speculate.drafted": "draft_tokens",
    "speed.score_tokens": "check_tokens",
}
WORDS = {
    "runs.*.engine": ENGINES,
    "runs.*.engine.*": ENGINES,
    "runs.*.policy": POLICIES,
    "corpora.*.kind": {"topics": "pydoc_topics"},
}
# Where methods and runs are named, such as dense.stock or copy-4+380+128-r8-h1532-m1-s8-b1.graph-k4.
NAMES = (
    "runs.*.perplexity_against",
    "runs.*.tpot_against",
    "runs.*.tpot_against.*",
    "continuations.runs.*",
    "recall.methods.*",
)


def find_renamed(config: dict) -> tuple[list, str] | None:
    """The path of the first key that was renamed or holds a renamed word, and a message; None without one.

    Args:
        config: of any shape, since nothing has checked it.
    """
    for path, value in _places(config, []):
        place = ".".join("*" if isinstance(part, int) else str(part) for part in path)
        if place in KEYS:
            return path, f"is now called {KEYS[place]}"
        if isinstance(value, str) and (now := _present(place, value)) != value:
            return path, f"{shown(value)} is now called {now}"
    return None


def _places(node, path: list) -> Iterator[tuple[list, object]]:
    """The path of every key and item, outer ones first, with its value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield [*path, key], value
        yield from _places(value, [*path, key])


def _present(place: str, value: str) -> str:
    """What a value is called now."""
    return _present_name(value) if place in NAMES else WORDS.get(place, {}).get(value, value)


def _present_name(name: str) -> str:
    """A method's or run's name (run_table) with the present words for its policy and engine."""
    policy = re.sub(r"^\w+(?=-)", lambda word: POLICIES.get(word[0], word[0]), name)
    return re.sub(r"(?<=\.)\w+(?=-|$)", lambda word: ENGINES.get(word[0], word[0]), policy)
