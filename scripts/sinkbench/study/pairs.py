"""Which perplexities are compared token by token: all that a claim, a table or a figure may ask for.

Two changes that were measured over different positions do not add up to a third. So every pair that somebody
reads is paired when the measurements are made, and nothing is derived from other pairs afterwards.
"""

from collections.abc import Iterator


def baselines(methods: dict[str, dict]) -> dict[str, list[str]]:
    """What each method is compared with: first what the config names, then what verdicts are measured from.

    These are streaming at the full budget, streaming at the method's own budget, and recomputation at the
    full budget with the same sinks.

    Args:
        methods: of a plan, by name (study.Study.plan).
    """
    shared = list(_shared(methods))
    found = {}
    for name, about in methods.items():
        wanted = [about["perplexity_against"], *shared, _plain(methods, "streaming", budget=about["budget"])]
        found[name] = [other for other in dict.fromkeys(wanted) if other not in (None, name)]
    return found


def _shared(methods: dict[str, dict]) -> Iterator[str | None]:
    """What all methods are compared with."""
    budgets = [about["budget"] for about in methods.values() if about["policy"] == "streaming"]
    full = _plain(methods, "streaming", budget=max(budgets)) if budgets else None
    if full:
        yield full
        yield _plain(methods, "recompute", budget=max(budgets), sinks=methods[full]["sinks"])


def _plain(methods: dict[str, dict], policy: str, **where: int | None) -> str | None:
    """The method of a policy; of several number formats the plain one, as in analysis/select.method_of."""
    wanted = {"policy": policy, **where}
    fitting = [name for name, about in methods.items() if wanted.items() <= about.items()]
    return min(fitting, key=len, default=None)
