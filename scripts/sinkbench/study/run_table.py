"""The run table of a config: which methods are scored, and which runs are timed.

A *method* is what determines perplexity: policy, its settings, quantization, dtype. A *run* is a method
on an engine: what determines time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from sinkbench import policies, registry
from sinkbench.engines.table import ENGINES
from sinkbench.errors import UserError, check_name
from sinkbench.policies import REFRESHED
from sinkbench.quantization.table import FORMATS

# What a run is measured for; each is a target of the workflow.
FAMILIES = (
    "baseline",
    "streaming",
    "engine",
    "compile",
    "attention",
    "quantization",
    "refresh",
    "speculation",
)

DRAFTING = {"drafts": "model", "temperature": 0, "places": 16}  # what `speculate` need not say


@dataclass(frozen=True)
class Method:
    """A method: what determines perplexity.

    Args:
        family: the rule that scores it: that of the first entry that lists it.
        options: the policy's own settings.
        corpora: names of those that score it, of the family's; None: all of them.
    """

    family: str
    policy: str
    options: dict
    quantization: str
    dtype: str | None
    perplexity_against: str | None
    corpora: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The word of the method's files and labels, such as streaming-4+2044."""
        parts = (self.policy, self.build().label, _unless(self.quantization, "none"), self.dtype)
        return "-".join(filter(None, parts))

    def build(self):
        """The policy object."""
        return policies.build(self.policy, self.options)

    def is_listed_again_by(self, other: "Method") -> bool:
        """Whether `other` is this method in another entry, which need not repeat baseline and corpora."""
        against = other.perplexity_against or self.perplexity_against
        corpora = other.corpora or self.corpora
        return replace(other, family=self.family, perplexity_against=against, corpora=corpora) == self


@dataclass(frozen=True)
class Run:
    """A run: a method on an engine, what determines time.

    Args:
        family: the rule that times it.
        batch: streams decoded in step.
        tpot_against: names of runs; of a method that is named alone, its run on the same engine.
        positions: stream positions (context lengths) at which it is timed; None: those of the whole study.
        profiled: whether a study that measures profiles has one of it.
        drafts: where they come from, "model" or "lookup"; None: it has none.
        draft_tokens: tokens that are proposed in a round then.
        temperature: at which tokens are sampled then; 0 is greedy.
        places: of the text, that are continued then.
    """

    family: str
    method: Method
    engine: str
    batch: int
    tpot_against: tuple[str, ...]
    positions: tuple[int, ...] | None
    profiled: bool
    drafts: str | None = None
    draft_tokens: int | None = None
    temperature: float | None = None
    places: int | None = None

    @property
    def name(self) -> str:
        """The word of the run's files and labels: streaming-4+2044.eager, .fused-x16, .graph-lookup-k4."""
        return f"{self.method.name}.{self.label}" + (f"-x{self.batch}" if self.batch > 1 else "")

    @property
    def label(self) -> str:
        """The engine as measurements name it, with its drafts and temperature, if any."""
        lookup = "-lookup" if self.drafts == "lookup" else ""
        sampled = f"-t{self.temperature:g}" if self.temperature else ""
        return self.engine + lookup + (f"-k{self.draft_tokens}" if self.drafts else "") + sampled

    def describe(self) -> dict:
        """What aggregation needs to know of the run."""
        return {
            "family": self.family,
            "method": self.method.name,
            "engine": self.label,
            "batch": self.batch,
            "drafts": self.drafts,
            "draft_tokens": self.draft_tokens,
            "temperature": self.temperature,
            "tpot_against": self.tpot_against,
        }


class RunTable:
    """All methods and runs by name.

    Args:
        entries: the config's `runs`.
        model_dtype: what a run has that names no other.

    Raises:
        UserError: an entry makes no sense; names its key.
    """

    def __init__(self, entries: list[dict], model_dtype: str):
        self.methods: dict[str, Method] = {}
        self.runs: dict[str, Run] = {}
        for index, entry in enumerate(entries):
            try:
                self._add(entry, model_dtype)
            except UserError as error:
                raise UserError(f"runs[{index}].{error}") from None
        for index, entry in enumerate(entries):
            for name in _as_list(entry.get("perplexity_against", [])):
                check_name(name, self.methods, f"runs[{index}].perplexity_against")
            for name in _tpot_against(entry, self.methods):
                check_name(name, self.runs, f"runs[{index}].tpot_against")
        self.runs = {name: self._resolved(run) for name, run in self.runs.items()}

    def _add(self, entry: dict, model_dtype: str) -> None:
        for method in _expand(entry, model_dtype):
            known = self.methods.setdefault(method.name, method)
            if not known.is_listed_again_by(method):
                raise UserError(f"options: {method.name} is listed before, with other settings")
            for run in _runs(entry, known, method.dtype or model_dtype):
                if run.name in self.runs:
                    raise UserError(f"engine: {run.name} is listed twice")
                self.runs[run.name] = run

    def _resolved(self, run: Run) -> Run:
        """The run with names of runs for those of methods in `tpot_against`."""
        against = (_on_engine(name, run.engine, self.methods) for name in run.tpot_against)
        return replace(run, tpot_against=tuple(against))


def _expand(entry: dict, model_dtype: str) -> Iterator[Method]:
    """One method for every combination of the values that an entry lists."""
    axes = {key: _as_list(value) for key, value in entry["options"].items()}
    for key in (key for key, values in axes.items() if not values):
        raise UserError(f"options.{key}: an empty list makes no run")
    formats = product(_as_list(entry.get("quantization", "none")), _as_list(entry.get("dtype", model_dtype)))
    corpora = tuple(entry["corpora"]) if "corpora" in entry else None
    for (quantization, dtype), values in product(formats, list(product(*axes.values()))):
        check_name(entry["policy"], registry.available("policies"), "policy")
        check_name(quantization, FORMATS, "quantization")
        options = dict(zip(axes, values, strict=True))
        policies.build(entry["policy"], options)
        against = entry.get("perplexity_against")
        dtype = _unless(dtype, model_dtype)
        yield Method(entry["family"], entry["policy"], options, quantization, dtype, against, corpora)


def _runs(entry: dict, method: Method, dtype: str) -> Iterator[Run]:
    """One run of a method, whose weights and activations are of `dtype`, for every combination listed."""
    against = tuple(_as_list(entry.get("tpot_against", [])))
    positions = tuple(entry["positions"]) if "positions" in entry else None
    speculate = entry.get("speculate", {})
    profiled = entry.get("profile", True) and not speculate
    if entry.get("engine") and bool(speculate) != (entry["family"] == "speculation"):
        raise UserError("speculate: what family speculation has, and no other")
    axes = [_as_list(entry.get("engine", [])), _as_list(entry.get("batch", 1))]
    for (engine, batch), drafting in product(product(*axes), list(_drafting(speculate))):
        _check_engine(engine, method, batch, dtype)
        if speculate:
            _check_speculation(engine, method, batch, drafting["draft_tokens"])
        yield Run(entry["family"], method, engine, batch, against, positions, profiled, **drafting)


def _drafting(speculate: dict) -> Iterator[dict]:
    """What tells runs of `speculate` apart, for every combination listed; once nothing without it."""
    if not speculate:
        yield {}
        return
    wanted = DRAFTING | speculate
    places = {"places": wanted.pop("places")}
    axes = {key: _as_list(value) for key, value in wanted.items()}
    yield from (dict(zip(axes, values, strict=True)) | places for values in product(*axes.values()))


def _check_speculation(engine: str, method: Method, batch: int, draft_tokens: int) -> None:
    if not ENGINES[engine].blocks:
        able = ", ".join(name for name, row in ENGINES.items() if row.blocks)
        raise UserError(f"engine: {engine} does not verify drafts; {able} can")
    if method.build().cache not in ("ring", "growing"):
        raise UserError(f"speculate: drafts cannot be taken back from the cache of {method.policy}")
    if batch > 1:
        raise UserError(f"batch: {batch} streams; drafts are verified for one")
    most = ENGINES[engine].block_tokens
    if most and draft_tokens >= most:
        raise UserError(
            f"speculate.draft_tokens: {draft_tokens} is more than the {most - 1} of engine {engine}"
        )


def _check_engine(engine: str, method: Method, batch: int, dtype: str) -> None:
    check_name(engine, ENGINES, "engine")
    form = method.build().cache
    if form not in ENGINES[engine].caches:
        fitting = ", ".join(name for name, row in ENGINES.items() if form in row.caches)
        raise UserError(f"engine: {engine} cannot decode {method.policy}; {fitting} can")
    if dtype not in ENGINES[engine].dtypes:
        able = " or ".join(ENGINES[engine].dtypes)
        raise UserError(f"engine: {engine} does not decode in {dtype}, but in {able}")
    if batch > 1 and form in REFRESHED:
        raise UserError(f"batch: {batch} streams; a cache of {method.policy} is refreshed for one")
    if batch > ENGINES[engine].max_batch:
        raise UserError(f"batch: {batch} is more than the {ENGINES[engine].max_batch} of engine {engine}")


def _tpot_against(entry: dict, methods: dict) -> list[str]:
    """Names of all runs that an entry's runs are compared with."""
    names, engines_of_entry = _as_list(entry.get("tpot_against", [])), _as_list(entry.get("engine", []))
    return [_on_engine(name, engine, methods) for name in names for engine in engines_of_entry]


def _on_engine(name: str, engine: str, methods: dict) -> str:
    """The name of a run; a method's name means its run on `engine`."""
    return f"{name}.{engine}" if name in methods else name


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _unless(value, default):
    return None if value == default else value
