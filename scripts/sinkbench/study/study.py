"""The study: a validated config turned into corpora, methods, runs and the settings of every job.

Everything here is plain data, without torch, since it is read whenever the workflow is planned.
"""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

from sinkbench import registry
from sinkbench.artifacts.fingerprint import fingerprint, settings_hash
from sinkbench.engines.table import engine_row
from sinkbench.quantization.table import format_row
from sinkbench.study.checks import check_measurable
from sinkbench.study.inputs import StudyInputs
from sinkbench.study.run_table import Method, RunTable

CODE = Path(__file__).parents[2]
SCHEMA = CODE.parent / "workflow/schemas/measurements.schema.yaml"


class Study:
    """Everything that the rules ask of the config.

    Args:
        config: validated (config.validate).

    Raises:
        UserError: values that are well-formed but make no sense together; names the key.
    """

    def __init__(self, config: dict):
        self.config, self.name = config, config["study"]
        table = RunTable(config["runs"], config["model"]["dtype"])
        self.methods, self.runs = table.methods, table.runs
        self.inputs = StudyInputs(config, drafts=any(run.draft_tokens for run in self.runs.values()))
        self.model, self.draft = self.inputs.model, self.inputs.draft
        self.tokenizer, self.corpora = self.inputs.tokenizer, self.inputs.corpora
        check_measurable(config, self.runs, self.corpora)

    def measures(self, what: str) -> bool:
        """Whether the study measures "quality", "speed", "profile" or "continuation"."""
        return what in self.config["measure"]

    def scored(self) -> Iterator[tuple[str, str]]:
        """(method, corpus) of every perplexity: on a corpus with `families` of the methods of these alone."""
        for (name, method), (corpus, entry) in product(self.methods.items(), self.corpora.items()):
            if method.family in entry.get("families", [method.family]):
                yield name, corpus

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
        code = fingerprint(CODE, "tokenize_corpus.py", registry.source("text/corpora", entry["kind"]))
        text = {key: value for key, value in entry.items() if key != "families"}  # not who scores it
        return {"corpus": text, "tokenizer": self.tokenizer, "code": code}

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

    def timing_settings(self, run: str) -> dict:
        """Settings of the job that times a run."""
        return self.speculation_settings(run) if self.runs[run].draft_tokens else self.speed_settings(run)

    def speculation_settings(self, run: str) -> dict:
        """Settings of a speed job with a draft model."""
        chosen, settings = self.runs[run], self._run_settings(run, "speed", "measure_speculation.py")
        drafting = {"draft_tokens": chosen.draft_tokens, "temperature": chosen.temperature}
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
        files = (*_method_files(chosen.method), _engine_file(chosen.engine))
        return {
            "label": f"continuation {run}",
            **self._method_settings(chosen.method),
            "engine": engine_row(chosen.engine),
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
        files = (*_method_files(chosen.method), _engine_file(chosen.engine))
        return {
            "label": f"{what} {run}",
            **self._method_settings(chosen.method),
            "engine": engine_row(chosen.engine),
            "batch": chosen.batch,
            "speed": speed | {"kind": kind, "points": points},
            "tokens": self.tokens_settings(corpus),
            "code": fingerprint(CODE, script, *files),
        }

    def plan(self) -> dict:
        """What aggregation needs to know of every method and run, and the stamps it must find."""
        quality = {
            f"{method}/{corpus}": settings_hash(self.quality_settings(method, corpus))
            for method, corpus in self.scored()
            if self.measures("quality")
        }
        speed = {run: settings_hash(self.timing_settings(run)) for run in self.runs if self.measures("speed")}
        profile = {run: settings_hash(self.profile_settings(run)) for run in self.profiled_runs()}
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
                    "draft_tokens": run.draft_tokens,
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
            for method, corpus in self.scored():
                yield "nll", f"{method}/{corpus}", self.quality_settings(method, corpus)
        if self.measures("speed"):
            yield from (("speed", run, self.timing_settings(run)) for run in self.runs)
        yield from (("profile", run, self.profile_settings(run)) for run in self.profiled_runs())
        yield from (("continuations", run, self.continuation_settings(run)) for run in self.continued_runs())

    def _method_settings(self, method: Method) -> dict:
        return {
            "model": self.model | {"dtype": method.dtype or self.model["dtype"]},
            "device": self.config["device"],
            "policy": method.policy,
            "options": method.options,
            "quantization": format_row(method.quantization),
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


def _method_files(method: Method) -> list[str]:
    """What a job of a method imports by name."""
    implementation = format_row(method.quantization)["implementation"]
    quantizes = [registry.source("quantization", implementation)] if implementation else []
    return [registry.source("policies", method.policy), *quantizes]


def _engine_file(engine: str) -> str:
    return registry.source("engines", engine_row(engine)["implementation"].replace(".", "/"))
