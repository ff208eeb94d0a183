"""The study: a validated config turned into corpora, methods, runs and the settings of every job.

Everything here is plain data, without torch, since it is read whenever the workflow is planned.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product

from sinkbench import registry
from sinkbench.artifacts.fingerprint import ROOT, code_of, stamp_of
from sinkbench.engines.table import ENGINES, engine_row
from sinkbench.quantization.table import format_row
from sinkbench.results.published import ranges
from sinkbench.study.checks import check_measurable, dense_method
from sinkbench.study.inputs import StudyInputs
from sinkbench.study.pairs import baselines
from sinkbench.study.run_table import Method, RunTable

SAMPLING = ("samples",)  # keys of a corpus that replace a policy's options there
SCORING = {"families", *SAMPLING}  # keys of a corpus that say nothing of its text
SCHEMA = ROOT.parent / "workflow/schemas/measurements.schema.yaml"
ONE_LAUNCH_STEPS = 256  # at least, a repetition: fewer steps of a millisecond are soon over
LEAST_ROUNDS = 32  # from each place: a loop is drafted well, and then its text is long enough to tell it


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
        self.inputs = StudyInputs(config, drafts=any(run.drafts == "model" for run in self.runs.values()))
        self.model, self.draft = self.inputs.model, self.inputs.draft
        self.tokenizer, self.corpora = self.inputs.tokenizer, self.inputs.corpora
        check_measurable(config, self.methods, self.runs, self.corpora)

    def measures(self, what: str) -> bool:
        """Whether the study measures "quality", "speed", "profile", "continuation", "recall" or "sinks"."""
        return what in self.config["measure"]

    def scored(self) -> Iterator[tuple[str, str]]:
        """(method, corpus) of every perplexity: where both the corpus and the method's entry allow it."""
        for (name, method), (corpus, entry) in product(self.methods.items(), self.corpora.items()):
            allowed = method.corpora is None or corpus in method.corpora
            if allowed and method.family in entry.get("families", [method.family]):
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
        code = code_of("tokenize_corpus.py", registry.source("text/corpora", entry["kind"]))
        text = {key: value for key, value in entry.items() if key not in SCORING}
        return {"corpus": text, "tokenizer": self.tokenizer, "code": code}

    def quality_settings(self, method: str, corpus: str) -> dict:
        """Settings of a quality job."""
        return self._settings("quality", f"{method} {corpus}", self.scored_method(method, corpus), corpus)

    def scored_method(self, method: str, corpus: str) -> Method:
        """A method as it scores a corpus, whose `samples` replace those of a policy that samples."""
        own, here = self.methods[method], self.corpora[corpus]
        replaced = {name: here[name] for name in SAMPLING if name in here and name in own.options}
        return replace(own, options=own.options | replaced)

    def timing_settings(self, run: str) -> dict:
        """Settings of the job that times a run, whether or not it has drafts."""
        chosen = self.runs[run]
        if not chosen.drafts:
            return self._run_settings("speed", run)
        settings = self._run_settings("speculation", run)
        drafting = {name: getattr(chosen, name) for name in ("drafts", "draft_tokens", "temperature")}
        drafting |= {"draft": self.draft} if chosen.drafts == "model" else {}
        return settings | drafting | {"seed": self.config["statistics"]["seed"]}

    def profile_settings(self, run: str) -> dict:
        """Settings of a profile job: those of the run's speed job, whose engine and points it shares."""
        return self._run_settings("profile", run)

    def self_checks(self) -> dict[str, dict]:
        """Models that are compared with transformers' own, by key: each once, if it is read from files."""
        draft = None if self.draft == self.model else self.draft
        found = {"model": self.model, "draft": draft}
        return {key: model for key, model in found.items() if model and model["source"] != "random"}

    def self_check_settings(self, key: str) -> dict:
        """Settings of a self-check: in the study's dtype, on its timed text."""
        return {
            "job": "self_check",
            "label": f"self_check {key}",
            "model": self.self_checks()[key],
            "compared_with": ["transformers"],
            "device": self.config["device"],
            "chunk_tokens": self.config["evaluation"]["chunk_tokens"],
            "tokens": self.tokens_settings(self.config["speed"]["corpus"]),
            "code": code_of("measure.py", registry.source("measure", "self_check")),
        }

    def continued_runs(self) -> list[str]:
        """Names of the runs that continue a prompt."""
        return self.config["continuations"]["runs"] if self.measures("continuation") else []

    def continuation_settings(self, run: str) -> dict:
        """Settings of the job in which a run continues the prompt."""
        chosen, wanted = self.runs[run], dict(self.config["continuations"])
        del wanted["runs"]
        settings = self._settings("continuation", run, chosen.method, wanted["corpus"], chosen.engine)
        return settings | {"continuation": wanted}

    def recalling_methods(self) -> list[str]:
        """Names of the methods whose recall is measured."""
        return self.config["recall"]["methods"] if self.measures("recall") else []

    def recall_settings(self, method: str) -> dict:
        """Settings of a recall job."""
        wanted = dict(self.config["recall"])
        del wanted["methods"]
        settings = self._settings("recall", method, self.methods[method], wanted.pop("corpus"))
        return settings | {"recall": wanted}

    def observed_methods(self) -> list[str]:
        """Dense attention, if it is observed where its attention goes; else nothing."""
        return [dense_method(self.methods)] if self.measures("sinks") else []

    def sink_settings(self, method: str) -> dict:
        """Settings of the job on sinks."""
        wanted = dict(self.config["sink_shares"])
        settings = self._settings("sinks", method, self.methods[method], wanted.pop("corpus"))
        return settings | {"sink_shares": wanted}

    def _run_settings(self, job: str, run: str) -> dict:
        chosen = self.runs[run]
        speed = dict(self.config["speed"])
        corpus = speed.pop("corpus")
        if chosen.positions:
            speed["positions"] = speed["contexts"] = list(chosen.positions)
        kind, points = chosen.method.build().timed_at(speed)
        del speed["contexts"], speed["positions"]
        if chosen.drafts:
            rounds = -(-speed["repetitions"] * speed["steps"] // chosen.places)
            speed |= {"repetitions": chosen.places, "steps": max(rounds, LEAST_ROUNDS)}
        elif ENGINES[chosen.engine].one_launch:
            speed["steps"] = max(speed["steps"], ONE_LAUNCH_STEPS)
        settings = self._settings(job, run, chosen.method, corpus, chosen.engine)
        return settings | {"batch": chosen.batch, "speed": speed | {"kind": kind, "points": points}}

    def _settings(
        self, job: str, subject: str, method: Method, corpus: str, engine: str | None = None
    ) -> dict:
        """What every measuring job is told.

        Args:
            job: module of sinkbench.measure that does it.
        """
        quantization = format_row(method.quantization)
        loaded = [("measure", job), ("policies", method.policy)]
        loaded += [("quantization", quantization["implementation"])] if quantization["implementation"] else []
        decoder = {"engine": engine_row(engine)} if engine else {}
        decoding = "blocks" if job == "speculation" else "implementation"
        loaded += [("engines", row[decoding].replace(".", "/")) for row in decoder.values()]
        return {
            "job": job,
            "label": f"{job} {subject}",
            "model": self.model | {"dtype": method.dtype or self.model["dtype"]},
            "device": self.config["device"],
            "policy": method.policy,
            "options": method.options,
            "quantization": quantization,
            "chunk_tokens": self.config["evaluation"]["chunk_tokens"],
            **decoder,
            "tokens": self.tokens_settings(corpus),
            "code": code_of("measure.py", *(registry.source(*module) for module in loaded)),
        }

    def plan(self) -> dict:
        """What aggregation needs to know of every method and run, and the stamps that it must find."""
        methods = {name: self._describe(method) for name, method in self.methods.items()}
        against = baselines(methods)
        return {
            "study": self.name,
            "random": "random" in (self.model["source"], (self.draft or self.model)["source"]),
            "methods": {name: about | {"against": against[name]} for name, about in methods.items()},
            "runs": {name: run.describe() for name, run in self.runs.items()},
            "stamps": self._stamps(),
            "self_checks": {key: stamp_of(self.self_check_settings(key)) for key in self.self_checks()},
            "statistics": self.config["statistics"],
            "published": ranges(self.config.get("published", []), self.model),
            "timed_on": self.config["speed"]["corpus"],
            "recalled_on": self.config["recall"]["corpus"] if self.measures("recall") else None,
            "observed_on": self.config["sink_shares"]["corpus"] if self.measures("sinks") else None,
            "sources": {
                "model": self.model,
                "draft": self.draft,
                "tokenizer": self.tokenizer,
                "corpora": list(self.corpora.values()),
            },
            "code": code_of("aggregate.py"),
        }

    def _stamps(self) -> dict[str, dict[str, dict[str, str]]]:
        """By kind and name, the stamp (stamp_of) of every job that the measurements are made from."""
        kinds = {"nll": "quality"} | {kind: kind for kind in ("speed", "profile", "recall", "sinks")}
        stamps = {kind: {} for kind in kinds.values()}
        for folder, name, settings in self.measuring_jobs():
            if folder in kinds:
                stamps[kinds[folder]][name] = stamp_of(settings)
        return stamps

    def measuring_jobs(self) -> Iterator[tuple[str, str, dict]]:
        """(folder, name, settings) of every job that measures; self-checks come first, continuations last."""
        yield from (("self_check", key, self.self_check_settings(key)) for key in self.self_checks())
        if self.measures("quality"):
            for method, corpus in self.scored():
                yield "nll", f"{method}/{corpus}", self.quality_settings(method, corpus)
        if self.measures("speed"):
            yield from (("speed", run, self.timing_settings(run)) for run in self.runs)
        yield from (("profile", run, self.profile_settings(run)) for run in self.profiled_runs())
        yield from (("recall", method, self.recall_settings(method)) for method in self.recalling_methods())
        yield from (("sinks", method, self.sink_settings(method)) for method in self.observed_methods())
        yield from (("continuations", run, self.continuation_settings(run)) for run in self.continued_runs())

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
