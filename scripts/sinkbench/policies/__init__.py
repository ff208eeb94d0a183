"""Cache policies: one file, one word. `sinkbench/policies/<word>.py` defines a frozen dataclass `Policy`.

Its fields are the keys that the config allows under `with:`; it raises UserError for values that make no
sense together. It stays free of torch, since the workflow reads it while planning, and offers:

    label                       what tells two runs of the policy apart, such as "4+2044" ("" if nothing does)
    cache                       the cache form an engine must have to decode it (engines.CACHES)
    period                      steps after which its work repeats; a timing covers whole periods
    visibility(length)          who sees whom (visibility.Visibility) in a stream of that many tokens
    positions(length)           indices t whose next token is scored in a document of that many tokens
    nll_at(scorer, document, positions)   the exact NLLs there, float32, nats (scorer.Scorer)
    timed_at(speed)             (kind, points): what its time depends on and where to measure it
"""

from dataclasses import MISSING, fields
from importlib import import_module
from pkgutil import iter_modules

from sinkbench.errors import UserError


def available() -> list[str]:
    """The policies that exist: one word per file of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def build(word: str, settings: dict):
    """The policy `word` with its settings; UserError names what is allowed."""
    if word not in available():
        raise UserError(f"policy: {word!r} is not one of {', '.join(available())}")
    policy = import_module(f"{__name__}.{word}").Policy
    taken = {field.name: field for field in fields(policy) if field.init}
    for name in sorted(set(settings) - set(taken)):
        raise UserError(f"with.{name}: unknown; {word} takes {', '.join(taken)}")
    missing = [name for name, field in taken.items() if field.default is MISSING and name not in settings]
    if missing:
        raise UserError(f"with: {word} needs {', '.join(missing)}")
    for name, value in settings.items():
        if taken[name].type is int and type(value) is not int:
            raise UserError(f"with.{name}: {value!r} is not a whole number")
        if taken[name].type is bool and type(value) is not bool:
            raise UserError(f"with.{name}: {value!r} is not true or false")
    return policy(**settings)


def require_at_least(policy, **least: int) -> None:
    """Shared check: settings of `policy` that may not be less than so much."""
    for name, smallest in least.items():
        if getattr(policy, name) < smallest:
            raise UserError(f"with.{name}: {getattr(policy, name)} is not at least {smallest}")


def require_budget(budget: int, sinks: int) -> None:
    """Shared check: a cache must hold more than its sinks."""
    for name, value, least in (("budget", budget, 1), ("sinks", sinks, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"with.{name}: {value!r} is not a whole number of at least {least}")
    if budget <= sinks:
        raise UserError(f"with.budget: {budget} must be larger than sinks ({sinks})")
