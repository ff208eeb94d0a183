"""Measurements of quality: perplexities, their intervals, and changes against a baseline."""

import numpy as np
import pandas as pd

from sinkbench.results.provenance import provenance
from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap

PHASES = 16  # at most, of a period


def record_quality(recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all quality jobs.

    Args:
        plan: study.Study.plan().
        results: (NLL table, notes) by "method/corpus".
    """
    for corpus in dict.fromkeys(job.split("/")[1] for job in results):
        jobs = {method: f"{method}/{corpus}" for method in plan["methods"]}
        tables = {method: results[job] for method, job in jobs.items() if job in results}
        _CorpusRows(recorder, bootstrap, plan, corpus, tables).record()


class _CorpusRows:
    """All methods over one corpus."""

    def __init__(self, recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, corpus: str, tables: dict):
        self.recorder, self.bootstrap, self.plan, self.corpus = recorder, bootstrap, plan, corpus
        self.notes = {method: notes for method, (_, notes) in tables.items()}
        valid = {method: frame for method, (frame, notes) in tables.items() if notes["status"] == "ok"}
        self.nll = {method: frame.set_index(["document", "position"]).nll for method, frame in valid.items()}
        self.paired = self._paired_index()

    def record(self) -> None:
        for method in self.notes:
            about = self._about(method)
            if method not in self.nll:
                self.recorder.add({**about, "status": self.notes[method]["status"]}, "perplexity", None)
                continue
            self._perplexity(about, "perplexity", self.nll[method])
            self._documents(about, self.nll[method])
            self._bins(about, self.nll[method])
            self._pairs(about, method)

    def _pairs(self, about: dict, method: str) -> None:
        if not self._capped(method) and len(self.paired):
            self._perplexity(about, "perplexity_paired", self.nll[method].loc[self.paired])
        against = self.plan["methods"][method]["perplexity_against"]
        if against in self.nll:
            self._change(about, self.nll[method], self.nll[against], against)

    def _perplexity(self, about: dict, metric: str, nll: pd.Series, **where) -> None:
        interval = self.bootstrap.mean(nll.reset_index(), "nll")
        self.recorder.add(about, metric, *np.exp(interval), n=len(nll), **where)

    def _documents(self, about: dict, nll: pd.Series) -> None:
        for document, part in nll.groupby(level="document", sort=False):
            self._perplexity(about, "perplexity", part, document=document)

    def _bins(self, about: dict, nll: pd.Series) -> None:
        width = self.plan["statistics"]["position_bin"]
        start = nll.index.get_level_values("position") // width * width
        for position, part in nll.groupby(start):
            self._perplexity(about, "perplexity_bin", part, position_kind="bin", position=int(position))

    def _change(self, about: dict, nll: pd.Series, baseline: pd.Series, against: str) -> None:
        """Percent change of perplexity over the positions that both score, all documents and each."""
        difference = (nll.astype(float) - baseline.astype(float)).dropna().rename("difference")
        self._percent(about, "perplexity_change", difference, against)
        for document, part in difference.groupby(level="document", sort=False):
            self._percent(about, "perplexity_change", part, against, document=document)
        self._phases(about, difference, against)

    def _phases(self, about: dict, difference: pd.Series, against: str) -> None:
        """The same by the position's place in the period of a policy whose work repeats."""
        period = self.plan["methods"][about["method"]]["period"]
        if period > 1:
            width = -(-period // PHASES)
            phase = difference.index.get_level_values("position") % period // width * width
            for start, part in difference.groupby(phase):
                where = {"position_kind": "phase", "position": int(start)}
                self._percent(about, "perplexity_change_phase", part, against, **where)

    def _percent(self, about: dict, metric: str, difference: pd.Series, against: str, **where) -> None:
        if len(difference):
            interval = self.bootstrap.mean(difference.reset_index(), "difference")
            percent = 100 * np.expm1(interval)
            where |= {"against": against, "n": len(difference)}
            self.recorder.add(about, metric, *percent, **where)

    def _paired_index(self) -> pd.MultiIndex:
        """(document, position) that every valid method scores, but those capped in length."""
        indices = [nll.index for method, nll in self.nll.items() if not self._capped(method)]
        if not indices:
            return pd.MultiIndex.from_tuples([], names=["document", "position"])
        common = min(indices, key=len)
        for index in indices:
            common = common[common.isin(index)]
        return common

    def _capped(self, method: str) -> bool:
        return self.plan["methods"][method]["budget"] is None

    def _about(self, method: str) -> dict:
        about = describe(self.plan, method)
        return {**about, "corpus": self.corpus, **provenance(self.plan, self.notes[method], self.corpus)}


def describe(plan: dict, method: str) -> dict:
    """The columns that a method fills in each of its rows."""
    columns = ("family", "policy", "budget", "sinks", "dtype", "quantization")
    own = {name: plan["methods"][method][name] for name in columns}
    return {"study": plan["study"], "method": method, **own}
