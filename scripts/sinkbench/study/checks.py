"""Check that a study's model, runs and texts allow what it measures."""

from sinkbench.errors import UserError, check_name
from sinkbench.study.published import check_published
from sinkbench.study.run_table import Method, Run
from sinkbench.text.repeats import context_tokens, is_scored


def check_measurable(
    config: dict, methods: dict[str, Method], runs: dict[str, Run], corpora: dict[str, dict]
) -> None:
    """Raise UserError for the first key that makes no sense.

    Args:
        methods, runs, corpora: of the config, by name.
    """
    check_name(config["speed"]["corpus"], corpora, "speed.corpus")
    _check_corpora(config["runs"], corpora)
    wanted = config["measure"]
    for what in ("quality", "continuation", "recall", "sinks"):
        if what in wanted and config["model"]["source"] == "random":
            raise UserError(f"measure: {what} means nothing with model.source random")
    for what in ("speed", "profile"):
        if what in wanted:
            if not runs:
                raise UserError(f"measure: {what} needs runs with an engine, and none has one")
            _check_steady_state(config, runs)
    if "continuation" in wanted:
        _check_continuations(config.get("continuations"), runs, corpora)
    if "recall" in wanted:
        _check_recall(config.get("recall"), methods, corpora)
    if "sinks" in wanted:
        _check_sinks(config.get("sink_shares"), methods, corpora)
    check_published(config)


def dense_method(methods: dict[str, Method]) -> str:
    """The first method of dense attention, of several number formats the plain one; UserError without one."""
    names = [name for name, method in methods.items() if method.policy == "dense"]
    if not names:
        raise UserError("measure: sinks needs an entry of runs with policy dense")
    return min(names, key=len)


def _check_corpora(entries: list[dict], corpora: dict[str, dict]) -> None:
    """Each entry names corpora that exist and that score its family."""
    for index, entry in enumerate(entries):
        for name in entry.get("corpora", []):
            where = f"runs[{index}].corpora"
            check_name(name, corpora, where)
            families = corpora[name].get("families", [entry["family"]])
            if entry["family"] not in families:
                raise UserError(
                    f"{where}: {name} scores families {', '.join(families)}, not {entry['family']}"
                )


def _check_continuations(wanted: dict | None, runs: dict[str, Run], corpora: dict[str, dict]) -> None:
    """A corpus and single runs that exist."""
    if wanted is None:
        raise UserError("measure: continuation needs the key continuations")
    check_name(wanted["corpus"], corpora, "continuations.corpus")
    for name in wanted["runs"]:
        check_name(name, runs, "continuations.runs")
        if runs[name].batch > 1:
            raise UserError(f"continuations.runs: {name} decodes several streams; one is continued")


def _check_recall(wanted: dict | None, methods: dict[str, Method], corpora: dict[str, dict]) -> None:
    """A corpus and methods that exist, and passages that do not overlap, nor lie among a method's sinks."""
    if wanted is None:
        raise UserError("measure: recall needs the key recall")
    check_name(wanted["corpus"], corpora, "recall.corpus")
    tokens, nearest = wanted["passage_tokens"], min(wanted["distances"])
    if nearest < tokens:
        raise UserError(f"recall.distances: {nearest} is less than passage_tokens ({tokens})")
    for name in wanted["methods"]:
        check_name(name, methods, "recall.methods")
        policy = methods[name].build()
        if (sinks := policy.visibility(0).sinks) > context_tokens(tokens):
            raise UserError(f"recall.passage_tokens: {tokens} is less than the {sinks} sinks of {name}")
        if not any(is_scored(policy, distance, tokens) for distance in wanted["distances"]):
            raise UserError(f"recall.methods: {name} scores no whole passage at any of recall.distances")


def _check_sinks(wanted: dict | None, methods: dict[str, Method], corpora: dict[str, dict]) -> None:
    """A corpus that exists, and texts that dense attention scores."""
    if wanted is None:
        raise UserError("measure: sinks needs the key sink_shares")
    check_name(wanted["corpus"], corpora, "sink_shares.corpus")
    dense, tokens = dense_method(methods), wanted["tokens"]
    if len(methods[dense].build().positions(tokens)) < tokens - 1:
        raise UserError(f"sink_shares.tokens: {tokens} is more than {dense} scores of a text")


def _check_steady_state(config: dict, runs: dict[str, Run]) -> None:
    """A ring must be full wherever it is timed."""
    for run in runs.values():
        earliest = min(run.positions or config["speed"]["positions"])
        policy = run.method.build()
        if policy.cache not in ("growing", "none") and policy.budget > earliest:
            raise UserError(
                f"speed.positions: {earliest}: the cache of {run.name} is full at {policy.budget} only"
            )
