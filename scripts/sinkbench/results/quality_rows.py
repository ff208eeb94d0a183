"""Measurements of quality: perplexities, their intervals, and changes against other methods."""

import numpy as np
import pandas as pd

from sinkbench.results.positions import DOCUMENT, POSITION, Positions
from sinkbench.results.provenance import provenance
from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap, Interval, difference, in_blocks

PHASES = 16  # at most, of a period
FEWEST = 4  # blocks before the trained length: fewer would give its perplexity no interval, or a useless one


def record_quality(recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all quality jobs.

    Args:
        plan: study.Study.plan().
        results: (path of the NLLs, notes) by "method/corpus".
    """
    for corpus in dict.fromkeys(job.split("/")[1] for job in results):
        jobs = {method: f"{method}/{corpus}" for method in plan["methods"]}
        files = {method: results[job] for method, job in jobs.items() if job in results}
        _CorpusRows(recorder, bootstrap, plan, corpus, files).record()


class _CorpusRows:
    """All methods over one corpus."""

    def __init__(self, recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, corpus: str, files: dict):
        self.recorder, self.bootstrap, self.plan, self.corpus = recorder, bootstrap, plan, corpus
        self.notes = {method: notes for method, (_, notes) in files.items()}
        valid = {method: path for method, (path, notes) in files.items() if notes["status"] == "ok"}
        trained = {self.notes[method]["trained_tokens"] for method in valid}
        quarters = {-(-tokens // FEWEST) for tokens in trained}
        widths = {bootstrap.block_tokens, plan["statistics"]["position_bin"]}
        self.positions = Positions(valid.values(), widths | trained | quarters)
        self.nll = {method: self.positions.nll(path) for method, path in valid.items()}
        self.paired = self._scored_by_all()

    def record(self) -> None:
        for method in self.notes:
            about = self._about(method)
            if method not in self.nll:
                self.recorder.add({**about, "status": self.notes[method]["status"]}, "perplexity", None)
                continue
            pieces = self.positions.pieces(self.nll[method])
            self._perplexity(about, "perplexity", pieces)
            self.recorder.add(about, "skipped_documents", self.notes[method]["skipped_documents"])
            self._documents(about, pieces)
            self._correlation(about, pieces)
            self._bins(about, pieces)
            self._trained(about, pieces, self.notes[method]["trained_tokens"])
            self._ranges(about, method)
            self._pairs(about, method)

    def _pairs(self, about: dict, method: str) -> None:
        if not self._capped(method) and self.paired.any():
            paired = np.where(self.paired, self.nll[method], np.nan)
            self._perplexity(about, "perplexity_paired", self.positions.pieces(paired))
        for against in self.plan["methods"][method]["against"]:
            if against in self.nll:
                self._change(about, method, against)

    def _perplexity(self, about: dict, metric: str, pieces: pd.DataFrame, **where) -> None:
        interval = self.bootstrap.mean_of_pieces(pieces)
        self.recorder.add(about, metric, *np.exp(interval), n=_tokens(pieces), **where)

    def _documents(self, about: dict, pieces: pd.DataFrame) -> None:
        for document, part in _by_document(pieces):
            self._perplexity(about, "perplexity", part, document=document)

    def _correlation(self, about: dict, pieces: pd.DataFrame) -> None:
        """Of neighbouring blocks, of all documents and of each."""
        for document, part in [(None, pieces), *_by_document(pieces)]:
            if interval := self.bootstrap.autocorrelation(part):
                n = _tokens(part)
                self.recorder.add(about, "block_autocorrelation", *interval, n=n, document=document)

    def _bins(self, about: dict, pieces: pd.DataFrame) -> None:
        width = self.plan["statistics"]["position_bin"]
        for position, part in pieces.groupby(pieces[POSITION] // width * width):
            self._perplexity(about, "perplexity_bin", part, position_kind="bin", position=int(position))

    def _trained(self, about: dict, pieces: pd.DataFrame, length: int) -> None:
        """Perplexity up to the length that the model was trained on, beyond it, and their ratio."""
        beyond = pieces[POSITION] >= length
        where = {"position_kind": "trained", "position": length}
        sides = {"perplexity_within": pieces[~beyond], "perplexity_beyond": pieces[beyond]}
        means = {metric: self._side(part, length) for metric, part in sides.items() if len(part)}
        for metric, interval in means.items():
            self.recorder.add(about, metric, *np.exp(interval), n=_tokens(sides[metric]), **where)
        if len(means) == len(sides):
            ratio = np.exp(_apart(means["perplexity_beyond"], means["perplexity_within"]))
            self.recorder.add(about, "perplexity_beyond_ratio", *ratio, n=_tokens(pieces), **where)

    def _side(self, pieces: pd.DataFrame, length: int) -> Interval:
        """Mean NLL, over blocks that are shorter where a side would have next to none of the usual ones."""
        shorter = min(self.bootstrap.block_tokens, -(-length // FEWEST))
        few = len(in_blocks(pieces, self.bootstrap.block_tokens)) < FEWEST
        return self.bootstrap.mean_of_pieces(pieces, shorter if few else None)

    def _ranges(self, about: dict, method: str) -> None:
        """Mean NLL of the ranges of tokens of which others published one (results.published)."""
        wanted = self.plan.get("published", {}).get(f"{method}/{self.corpus}", [])
        predicted = self.positions.position() + 1  # the token at t + 1 is predicted at position t
        for first, last in wanted:
            inside = (first <= predicted) & (predicted <= last)
            pieces = self.positions.pieces(np.where(inside, self.nll[method], np.nan))
            if len(pieces):
                where = {"position_kind": "range", "position": first, "last": last, "n": _tokens(pieces)}
                self.recorder.add(about, "nll_range", *self.bootstrap.mean_of_pieces(pieces), **where)

    def _change(self, about: dict, method: str, against: str) -> None:
        """Percent change of perplexity over the positions that both score.

        All documents together; each of them and each phase only against the baseline that comes first.
        """
        change = self.nll[method].astype(float) - self.nll[against]
        pieces = self.positions.pieces(change)
        self._percent(about, "perplexity_change", pieces, against)
        if against == self.plan["methods"][method]["against"][0]:
            for document, part in _by_document(pieces):
                self._percent(about, "perplexity_change", part, against, document=document)
            self._phases(about, change, against)

    def _phases(self, about: dict, change: np.ndarray, against: str) -> None:
        """The same by the position's place in the period of a policy whose work repeats."""
        period = self.plan["methods"][about["method"]]["period"]
        if period > 1:
            width = -(-period // PHASES)
            phase = self.positions.position() % period // width * width
            for start in range(0, period, width):
                pieces = self.positions.pieces(np.where(phase == start, change, np.nan))
                where = {"position_kind": "phase", "position": start}
                self._percent(about, "perplexity_change_phase", pieces, against, **where)

    def _percent(self, about: dict, metric: str, pieces: pd.DataFrame, against: str, **where) -> None:
        if len(pieces):
            percent = 100 * np.expm1(self.bootstrap.mean_of_pieces(pieces))
            where |= {"against": against, "n": _tokens(pieces)}
            self.recorder.add(about, metric, *percent, **where)

    def _scored_by_all(self) -> np.ndarray:
        """bool [positions]: which ones every valid method scores, but those capped in length."""
        scored = np.ones(len(self.positions), dtype=bool)
        for method, nll in self.nll.items():
            if not self._capped(method):
                scored &= np.isfinite(nll)
        return scored

    def _capped(self, method: str) -> bool:
        return self.plan["methods"][method]["budget"] is None

    def _about(self, method: str) -> dict:
        about = describe(self.plan, method)
        return {**about, "corpus": self.corpus, **provenance(self.plan, self.notes[method], self.corpus)}


def _apart(first: Interval, second: Interval) -> tuple[float, float, float]:
    """The difference of two means over different tokens; of one without an interval it has none either."""
    apart = difference(first, second)
    return apart if np.isfinite([*first, *second]).all() else (apart[0], np.nan, np.nan)


def _by_document(pieces: pd.DataFrame):
    return pieces.groupby(DOCUMENT, sort=False, observed=True)


def _tokens(pieces: pd.DataFrame) -> int:
    return int(pieces["tokens"].sum())


def describe(plan: dict, method: str) -> dict:
    """The columns that a method fills in each of its rows."""
    columns = ("family", "policy", "budget", "sinks", "dtype", "quantization")
    own = {name: plan["methods"][method][name] for name in columns}
    return {"study": plan["study"], "method": method, **own}
