"""The study: a validated config turned into corpora, methods, runs and the settings of every job.

A *method* is what determines perplexity: policy, its settings, quantization, dtype. A *run* is a method
on an engine: what determines time. Everything here is plain data, without torch, since it is read
whenever the workflow is planned.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from glob import glob
from itertools import product
from pathlib import Path

from sinkbench import engines, policies, quantizations
from sinkbench.errors import UserError
from sinkbench.fingerprint import fingerprint
from sinkbench.hub import MODEL_FILES, hub_folder, local_folder, record_path
from sinkbench.records import stamp

CODE = Path(__file__).parent.parent
SOURCE_KEYS = {"hub": ("repo", "revision"), "folder": ("path",), "random": ("shape", "seed")}


@dataclass(frozen=True)
class Method:
    """What determines perplexity; `options` are the policy's own settings."""

    family: str
    policy: str
    options: dict
    quantization: str
    dtype: str | None
    perplexity_against: str | None

    @property
    def name(self) -> str:
        """The word of the method's files and labels, such as streaming-4+2044."""
        parts = (self.policy, self.build().label, _unless(self.quantization, "none"), self.dtype)
        return "-".join(filter(None, parts))

    def build(self):
        """The policy object."""
        return policies.build(self.policy, self.options)


@dataclass(frozen=True)
class Run:
    """A method on an engine."""

    method: Method
    engine: str
    tpot_against: str | None

    @property
    def name(self) -> str:
        """The word of the run's files and labels, such as streaming-4+2044.eager."""
        return f"{self.method.name}.{self.engine}"


class Study:
    """Everything that the rules ask of the config.

    Args:
        config: validated (configuration.validate).

    Raises:
        UserError: values that are well-formed but make no sense together; names the key.
    """

    def __init__(self, config: dict):
        self.config, self.name = config, config["study"]
        self.model = {"dtype": config["model"]["dtype"], **_source(config["model"])}
        self.tokenizer = _source(config["tokenizer"])
        self.corpora = _by_name(config["corpora"], "corpora")
        self.methods: dict[str, Method] = {}
        self.runs: dict[str, Run] = {}
        for index, entry in enumerate(config["runs"]):
            try:
                self._add(entry)
            except UserError as error:
                raise UserError(f"runs[{index}].{error}") from None
        self._check_references()

    def measures(self, what: str) -> bool:
        """Whether the study measures "quality" or "speed"."""
        return what in self.config["measure"]

    def methods_of(self, family: str) -> list[str]:
        """Names of a family's methods."""
        return [name for name, method in self.methods.items() if method.family == family]

    def runs_of(self, family: str) -> list[str]:
        """Names of a family's runs."""
        return [name for name, run in self.runs.items() if run.method.family == family]

    def tokens_settings(self, corpus: str) -> dict:
        """Settings of the tokenization job of a corpus."""
        entry = self.corpora[corpus]
        code = fingerprint(CODE, "tokenize_corpus.py", f"sinkbench/corpora/{entry['kind']}.py")
        return {"corpus": entry, "tokenizer": self.tokenizer, "code": code}

    def quality_settings(self, method: str, corpus: str) -> dict:
        """Settings of a quality job."""
        chosen = self.methods[method]
        code = fingerprint(CODE, "measure_quality.py", *_method_files(chosen))
        return {
            "label": f"quality {method} {corpus}",
            **self._method_settings(chosen),
            "tokens": self.tokens_settings(corpus),
            "code": code,
        }

    def speed_settings(self, run: str) -> dict:
        """Settings of a speed job."""
        chosen = self.runs[run]
        speed = dict(self.config["speed"])
        corpus = speed.pop("corpus")
        files = (*_method_files(chosen.method), f"sinkbench/engines/{chosen.engine}.py")
        return {
            "label": f"speed {run}",
            **self._method_settings(chosen.method),
            "engine": chosen.engine,
            "speed": speed,
            "tokens": self.tokens_settings(corpus),
            "code": fingerprint(CODE, "measure_speed.py", *files),
        }

    def plan(self) -> dict:
        """What aggregation needs to know of every method and run, and the stamps it must find."""
        quality = {
            f"{method}/{corpus}": stamp(self.quality_settings(method, corpus))
            for method, corpus in product(self.methods, self.corpora)
            if self.measures("quality")
        }
        speed = {run: stamp(self.speed_settings(run)) for run in self.runs if self.measures("speed")}
        return {
            "study": self.name,
            "methods": {name: self._describe(method) for name, method in self.methods.items()},
            "runs": {
                name: {"method": run.method.name, "engine": run.engine, "tpot_against": run.tpot_against}
                for name, run in self.runs.items()
            },
            "stamps": {"quality": quality, "speed": speed},
            "statistics": self.config["statistics"],
        }

    def model_files(self) -> list[Path]:
        """Files whose change makes every measurement stale."""
        if self.model["source"] == "folder":
            folder = Path(self.model["path"])
            return sorted([*folder.glob("config.json"), *folder.glob("*.safetensors")])
        return [record_path(self.model)] if self.model["source"] == "hub" else []

    def text_files(self, corpus: str) -> list[Path]:
        """Files whose change makes the tokens of a corpus stale."""
        entry = self.corpora[corpus]
        tokenizer = [record_path(self.tokenizer)] if self.tokenizer["source"] == "hub" else []
        if entry["kind"] == "files":
            return [*tokenizer, *sorted(map(Path, glob(entry["glob"], recursive=True)))]
        if entry["kind"] == "dataset" and entry["source"] == "folder":
            return [*tokenizer, *sorted(Path(entry["path"]).glob(entry["files"]))]
        return [*tokenizer, record_path(entry)] if entry["kind"] == "dataset" else tokenizer

    def repositories(self) -> dict[str, dict]:
        """What to fetch: arguments of hub.fetch by the name of the folder that they fill."""
        wanted = [(entry, "dataset", [entry.get("files")]) for entry in self.corpora.values()]
        wanted += [(source, "model", MODEL_FILES) for source in (self.tokenizer, self.model)]
        return {
            hub_folder(entry["repo"], entry["revision"]).name: {
                "repo": entry["repo"], "revision": entry["revision"], "kind": kind, "patterns": patterns,
            }
            for entry, kind, patterns in wanted
            if entry.get("source") == "hub"
        }

    def _add(self, entry: dict) -> None:
        for method in _expand_methods(entry, self.model["dtype"]):
            if self.methods.setdefault(method.name, method) != method:
                raise UserError(f"with: two runs are both called {method.name}")
            for engine in _as_list(entry.get("engine", [])):
                if engines.cache_form(engine) != method.build().cache:
                    raise UserError(f"engine: {engine} cannot decode {method.policy} (it serves another cache form)")
                run = Run(method, engine, entry.get("tpot_against"))
                if run.name in self.runs:
                    raise UserError(f"engine: {run.name} is listed twice")
                self.runs[run.name] = run

    def _check_references(self) -> None:
        for method in self.methods.values():
            _check_name(method.perplexity_against, self.methods, f"{method.name}: perplexity_against")
        for run in self.runs.values():
            _check_name(run.tpot_against, self.runs, f"{run.name}: tpot_against")
        _check_name(self.config["speed"]["corpus"], self.corpora, "speed.corpus")

    def _method_settings(self, method: Method) -> dict:
        return {
            "model": self.model | {"dtype": method.dtype or self.model["dtype"]},
            "device": self.config["device"],
            "policy": method.policy,
            "with": method.options,
            "quantization": method.quantization,
            "chunk_tokens": self.config["evaluation"]["chunk_tokens"],
        }

    def _describe(self, method: Method) -> dict:
        policy = method.build()
        shape = policy.visibility(0)
        bounded = policy.cache != "growing"
        return asdict(method) | {
            "dtype": method.dtype or self.model["dtype"],
            "budget": shape.budget if bounded else None,
            "sinks": shape.sinks if bounded else None,
        }


def _expand_methods(entry: dict, model_dtype: str) -> Iterator[Method]:
    """One method for every combination of the values that an entry lists."""
    axes = {key: _as_list(value) for key, value in entry["with"].items()}
    formats = product(_as_list(entry.get("quantization", "none")), _as_list(entry.get("dtype", model_dtype)))
    for (quantization, dtype), values in product(formats, list(product(*axes.values()))):
        if quantization not in quantizations.available():
            words = ", ".join(quantizations.available())
            raise UserError(f"quantization: {quantization!r} is not one of {words}")
        options = dict(zip(axes, values, strict=True))
        policies.build(entry["policy"], options)
        against = entry.get("perplexity_against")
        yield Method(
            entry["family"], entry["policy"], options, quantization, _unless(dtype, model_dtype), against
        )


def _method_files(method: Method) -> tuple[str, str]:
    return f"sinkbench/policies/{method.policy}.py", f"sinkbench/quantizations/{method.quantization}.py"


def _check_name(name: str | None, known: dict, where: str) -> None:
    if name is not None and name not in known:
        raise UserError(f"{where}: {name!r} is not one of {', '.join(known)}")


def _by_name(entries: list[dict], where: str) -> dict[str, dict]:
    named = {entry["name"]: entry for entry in entries}
    if len(named) < len(entries):
        raise UserError(f"{where}: two entries have the same name")
    return named


def _source(entry: dict) -> dict:
    """A source without the keys that an overlaid config left behind from another source."""
    return {key: entry[key] for key in ("source", *SOURCE_KEYS[entry["source"]])}


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _unless(value, default):
    return None if value == default else value
