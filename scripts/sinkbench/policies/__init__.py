"""Cache policies: a file each. `policies/<name>.py` defines a frozen dataclass `Policy`.

Its fields are the keys that the config allows under `options:`; it raises UserError for values that make no
sense together. It stays free of torch, since the workflow reads it while planning, and offers:

    label                       what tells two runs of the policy apart, such as "4+2044" ("" if nothing does)
    cache                       the cache layout that an engine must decode (engines.table)
    period                      steps after which its work repeats; a timing covers whole periods
    visibility(length)          who sees whom (Visibility) in a stream of that many tokens
    positions(length)           indices t whose next token is scored in a document of that many tokens
    nll_at(evaluator, document, positions)   the exact NLLs there, float32, nats (evaluator.Evaluator)
    timed_at(speed)             (kind, points): what its time depends on and where to measure it
"""

from dataclasses import MISSING, dataclass, fields
from typing import Literal

from sinkbench import registry
from sinkbench.errors import UserError, check_name, shown

# What a cache is like, as far as an engine must know: an engine's row names the layouts that it decodes.
CacheLayout = Literal["growing", "ring", "pruned", "refreshed", "refreshed_with_queries", "none"]
REFRESHED = ("refreshed", "refreshed_with_queries")


@dataclass(frozen=True)
class Visibility:
    """Query t sees keys {0 .. S-1} and {max(S, t-W) .. t}: budget + 1 keys once full, itself included.

    The distance to a recent key j is t - j; the distance to sink s is min(t, budget) - s, which stops
    growing: that is all that StreamingLLM's "positions inside the cache" mean, since RoPE only sees
    distances. Dense attention is sinks = 0 and recent at least the text's length.

    With every = R > 1 the cache is pruned to its budget before queries 0, R, 2R, ... only, and grows by a key
    a token in between: query t sees `growth(t)` more recent keys, and its distance to sink s is as large as
    the cache, min(t, budget + growth(t)) - s.
    """

    sinks: int
    recent: int
    every: int = 1

    @property
    def budget(self) -> int:
        """Cached keys of a full cache, in tokens: sinks + recent."""
        return self.sinks + self.recent

    @property
    def longest(self) -> int:
        """The most recent keys that a query sees, itself not included."""
        return self.recent + self.every - 1

    def growth(self, position):
        """Keys beyond the budget that a full cache holds at `position`, an integer or a tensor of them."""
        return position % self.every

    def keys_at(self, position: int) -> int:
        """Keys that the query at `position` sees, itself included."""
        return min(position, self.budget + self.growth(position)) + 1


def build(word: str, settings: dict):
    """The policy `word` with its settings; UserError names what is allowed."""
    check_name(word, registry.available("policies"), "policy")
    policy = registry.load("policies", word).Policy
    taken = {field.name: field for field in fields(policy) if field.init}
    for name in sorted(set(settings) - set(taken)):
        raise UserError(f"options.{name}: unknown; {word} takes {', '.join(taken)}")
    missing = [name for name, field in taken.items() if field.default is MISSING and name not in settings]
    if missing:
        raise UserError(f"options: {word} needs {', '.join(missing)}")
    for name, value in settings.items():
        if taken[name].type is int and type(value) is not int:
            raise UserError(f"options.{name}: {shown(value)} is not a whole number")
        if taken[name].type is bool and type(value) is not bool:
            raise UserError(f"options.{name}: {shown(value)} is not true or false")
    return policy(**settings)


def require_at_least(policy, **least: int) -> None:
    """Shared check: settings of `policy` that may not be less than so much."""
    for name, smallest in least.items():
        if getattr(policy, name) < smallest:
            raise UserError(f"options.{name}: {getattr(policy, name)} is not at least {smallest}")


def require_budget(budget: int, sinks: int) -> None:
    """Shared check: a cache must hold more than its sinks."""
    for name, value, least in (("budget", budget, 1), ("sinks", sinks, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"options.{name}: {shown(value)} is not a whole number of at least {least}")
    if budget <= sinks:
        raise UserError(f"options.budget: {budget} must be larger than sinks ({sinks})")
