"""The study: a validated config turned into corpora, methods, runs and the settings of every job.

Everything here is plain data, without torch, since it is read whenever the workflow is planned.
"""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

from sinkbench import corpora
from sinkbench.errors import UserError
from sinkbench.fingerprint import fingerprint
from sinkbench.hub import MODEL_FILES, TOKENIZER_FILES, hub_folder, record_path
from sinkbench.records import stamp
from sinkbench.run_table import Method, RunTable, check_name
from sinkbench.sources import weight_files

CODE = Path(__file__).parent.parent
SCHEMA = CODE.parent / "workflow/schemas/measurements.schema.yaml"
SOURCE_KEYS = {"hub": ("repo", "revision"), "folder": ("path",), "random": ("shape", "seed")}


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
        self.corpora = _corpora_by_name(config["corpora"])
        table = RunTable(config["runs"], self.model["dtype"])
        self.methods, self.runs = table.methods, table.runs
        self.draft = self._draft()
        check_name(config["speed"]["corpus"], self.corpora, "speed.corpus")
        self._check_measurable()

    def measures(self, what: str) -> bool:
        """Whether the study measures "quality", "speed", "profile" or "continuation"."""
        return what in self.config["measure"]

    def methods_of(self, family: str) -> list[str]:
        """Names of a family's methods."""
        return [name for name, method in self.methods.items() if method.family == family]

    def runs_of(self, family: str) -> list[str]:
        """Names of a family's runs."""
        return [name for name, run in self.runs.items() if run.family == family]

    def profiled_runs(self) -> list[str]:
        """Names of the runs that have a profile."""
        return [name for name, run in self.runs.items() if run.profiled and self.measures("profile")]

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
        return self._run_settings(run, "speed", "measure_speed.py")

    def settings_of(self, run: str) -> dict:
        """Settings of the job that times a run."""
        return self.speculation_settings(run) if self.runs[run].drafted else self.speed_settings(run)

    def speculation_settings(self, run: str) -> dict:
        """Settings of a speed job with a draft model."""
        chosen, settings = self.runs[run], self._run_settings(run, "speed", "measure_speculation.py")
        drafting = {"drafted": chosen.drafted, "temperature": chosen.temperature}
        return settings | drafting | {"draft": self.draft, "seed": self.config["statistics"]["seed"]}

    def profile_settings(self, run: str) -> dict:
        """Settings of a profile job: those of the run's speed job, whose engine and points it shares."""
        return self._run_settings(run, "profile", "measure_profile.py")

    def continued_runs(self) -> list[str]:
        """Names of the runs that continue a prompt."""
        return self.config["continuations"]["runs"] if self.measures("continuation") else []

    def continuation_settings(self, run: str) -> dict:
        """Settings of the job in which a run continues the prompt."""
        chosen, wanted = self.runs[run], dict(self.config["continuations"])
        del wanted["runs"]
        files = (*_method_files(chosen.method), f"sinkbench/engines/{chosen.engine}.py")
        return {
            "label": f"continuation {run}",
            **self._method_settings(chosen.method),
            "engine": chosen.engine,
            "continuation": wanted,
            "tokens": self.tokens_settings(wanted["corpus"]),
            "code": fingerprint(CODE, "continue_prompt.py", *files),
        }

    def _run_settings(self, run: str, what: str, script: str) -> dict:
        chosen = self.runs[run]
        speed = dict(self.config["speed"])
        corpus = speed.pop("corpus")
        if chosen.positions:
            speed["positions"] = speed["contexts"] = list(chosen.positions)
        kind, points = chosen.method.build().timed_at(speed)
        del speed["contexts"], speed["positions"]
        files = (*_method_files(chosen.method), f"sinkbench/engines/{chosen.engine}.py")
        return {
            "label": f"{what} {run}",
            **self._method_settings(chosen.method),
            "engine": chosen.engine,
            "batch": chosen.batch,
            "speed": speed | {"kind": kind, "points": points},
            "tokens": self.tokens_settings(corpus),
            "code": fingerprint(CODE, script, *files),
        }

    def plan(self) -> dict:
        """What aggregation needs to know of every method and run, and the stamps it must find."""
        quality = {
            f"{method}/{corpus}": stamp(self.quality_settings(method, corpus))
            for method, corpus in product(self.methods, self.corpora)
            if self.measures("quality")
        }
        speed = {run: stamp(self.settings_of(run)) for run in self.runs if self.measures("speed")}
        profile = {run: stamp(self.profile_settings(run)) for run in self.profiled_runs()}
        return {
            "study": self.name,
            "random": "random" in (self.model["source"], (self.draft or self.model)["source"]),
            "methods": {name: self._describe(method) for name, method in self.methods.items()},
            "runs": {
                name: {
                    "family": run.family,
                    "method": run.method.name,
                    "engine": run.label,
                    "batch": run.batch,
                    "drafted": run.drafted,
                    "temperature": run.temperature,
                    "tpot_against": run.tpot_against,
                }
                for name, run in self.runs.items()
            },
            "stamps": {"quality": quality, "speed": speed, "profile": profile},
            "statistics": self.config["statistics"],
            "timed_on": self.config["speed"]["corpus"],
            "sources": {
                "model": self.model,
                "draft": self.draft,
                "tokenizer": self.tokenizer,
                "corpora": list(self.corpora.values()),
            },
            "code": fingerprint(CODE, "aggregate.py"),
        }

    def measuring_jobs(self) -> Iterator[tuple[str, str, dict]]:
        """(folder, name, settings) of every job that measures; continuations come last."""
        if self.measures("quality"):
            for method, corpus in product(self.methods, self.corpora):
                yield "nll", f"{method}/{corpus}", self.quality_settings(method, corpus)
        if self.measures("speed"):
            yield from (("speed", run, self.settings_of(run)) for run in self.runs)
        yield from (("profile", run, self.profile_settings(run)) for run in self.profiled_runs())
        yield from (("continuations", run, self.continuation_settings(run)) for run in self.continued_runs())

    def model_files(self) -> list[Path]:
        """Files whose change makes every measurement stale."""
        return weight_files(self.model)

    def draft_files(self) -> list[Path]:
        """Files whose change makes every measurement with drafts stale."""
        return weight_files(self.draft) if self.draft else []

    def text_files(self, corpus: str) -> list[Path]:
        """Files whose change makes the tokens of a corpus stale."""
        entry = self.corpora[corpus]
        if self.tokenizer["source"] == "hub":
            tokenizer = [record_path(self.tokenizer)]
        else:
            tokenizer = sorted(Path(self.tokenizer["path"]).glob("tokenizer.json"))
        if entry.get("source") == "hub":
            return [*tokenizer, record_path(entry)]
        if entry["kind"] == "stdlib":  # Python's: a token file carried to another Python stands
            return tokenizer
        try:
            return [*tokenizer, *corpora.find(entry)]
        except UserError:  # the preflight says it; a plan may be made where the texts are not
            return tokenizer

    def repositories(self) -> dict[str, dict]:
        """What to fetch: arguments of download.fetch by the name of the folder that they fill."""
        wanted = [(self.tokenizer, "model", TOKENIZER_FILES), (self.model, "model", MODEL_FILES)]
        wanted += [(self.draft, "model", MODEL_FILES)] if self.draft else []
        wanted += [(entry, "dataset", [entry.get("files")]) for entry in self.corpora.values()]
        found: dict[str, dict] = {}
        for entry, kind, patterns in wanted:
            if entry.get("source") == "hub":
                about = {"repo": entry["repo"], "revision": entry["revision"], "kind": kind, "patterns": []}
                known = found.setdefault(hub_folder(entry["repo"], entry["revision"]).name, about)
                known["patterns"] = sorted({*known["patterns"], *patterns})
        return found

    def _draft(self) -> dict | None:
        """The draft model; None where no run drafts, so that a study without needs none."""
        if not any(run.drafted for run in self.runs.values()):
            return None
        if "draft" not in self.config:
            raise UserError("draft: missing (needed with speculate)")
        return {"dtype": self.model["dtype"], **_source(self.config["draft"])}

    def _check_measurable(self) -> None:
        for what in filter(self.measures, ("quality", "continuation")):
            if self.model["source"] == "random":
                raise UserError(f"measure: {what} means nothing with model.source random")
        for what in filter(self.measures, ("speed", "profile")):
            if not self.runs:
                raise UserError(f"measure: {what} needs runs with an engine, and none has one")
            self._check_steady_state()
        if self.measures("continuation"):
            self._check_continuations()

    def _check_continuations(self) -> None:
        """A corpus and single runs that exist."""
        wanted = self.config.get("continuations")
        if wanted is None:
            raise UserError("measure: continuation needs the key continuations")
        check_name(wanted["corpus"], self.corpora, "continuations.corpus")
        for name in wanted["runs"]:
            check_name(name, self.runs, "continuations.runs")
            if self.runs[name].batch > 1:
                raise UserError(f"continuations.runs: {name} decodes several streams; one is continued")

    def _check_steady_state(self) -> None:
        """A ring must be full wherever it is timed."""
        for run in self.runs.values():
            earliest = min(run.positions or self.config["speed"]["positions"])
            policy = run.method.build()
            if policy.cache not in ("growing", "fresh") and policy.budget > earliest:
                raise UserError(
                    f"speed.positions: {earliest}: the cache of {run.name} is full at {policy.budget} only"
                )

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
            "period": policy.period,
        }


def _method_files(method: Method) -> tuple[str, str]:
    return f"sinkbench/policies/{method.policy}.py", f"sinkbench/quantizations/{method.quantization}.py"


def _corpora_by_name(entries: list[dict]) -> dict[str, dict]:
    named = {}
    for index, entry in enumerate(entries):
        if entry["name"] in named:
            raise UserError(f"corpora[{index}].name: {entry['name']!r} is listed twice")
        if "source" in entry and entry["kind"] != "dataset":
            raise UserError(f"corpora[{index}].source: only kind dataset has a source")
        source = entry.get("source")
        missing = [key for key in SOURCE_KEYS.get(source, ()) if key not in entry]
        if missing:
            raise UserError(f"corpora[{index}]: missing {', '.join(missing)} (needed with source: {source})")
        named[entry["name"]] = entry
    return named


def _source(entry: dict) -> dict:
    """A source without the keys that an overlaid config left behind from another source."""
    return {key: entry[key] for key in ("source", *SOURCE_KEYS[entry["source"]])}
