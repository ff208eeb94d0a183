"""Estimated cost of a study before its first job, at the rates that one card showed.

Free of torch, since it is made whenever a run starts. Only jobs that are to run are counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sinkbench.engines.table import ENGINES
from sinkbench.errors import UserError
from sinkbench.policies._refreshed import RefreshedPolicy
from sinkbench.study.device_memory import describe_memory
from sinkbench.study.run_table import Method
from sinkbench.study.study import Study
from sinkbench.text import corpora

# Of one NVIDIA H200 with Pythia-2.8b: docs/reference and docs/results.md.
EVALUATED_TOKENS_PER_S = 70_000
STEP_S = 0.05  # of an engine that the host's launches bound; the fused one takes a thirtieth
JOB_S = 25  # imports, weights, and the evaluator's kernel from the compiler's cache
COMPILATION_S = 50
BYTES_PER_TOKEN = 4  # of English text and of source code alike, roughly
RESULT_BYTES_PER_NLL = 8


@dataclass(frozen=True)
class Cost:
    """Seconds on the device and bytes of results."""

    seconds: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.bytes + other.bytes)


def describe_cost(study: Study, quality: Iterable[tuple[str, str]], timed: Iterable[str]) -> str:
    """A line on time and results, and one on the device's memory (device_memory).

    Args:
        quality: (method, corpus) of the perplexities that are to be measured.
        timed: runs that are to be timed or profiled, once for each job.
    """
    quality, timed = list(quality), list(timed)
    texts = {corpus: _documents(study.corpora[corpus]) for corpus in sorted({name for _, name in quality})}
    unknown = [corpus for corpus, documents in texts.items() if documents is None]
    costs = [_scoring(study.methods[method], *texts[corpus]) for method, corpus in quality if texts[corpus]]
    total = sum(costs + [_timing(study, run) for run in timed], Cost())
    beside = f", beside the texts of {', '.join(unknown)}, which are not here yet" if unknown else ""
    spent = (
        f"to do: {len(quality)} perplexities and {len(timed)} timings or profiles; at the rates of one H200 "
        f"with Pythia-2.8b about {total.seconds / 3600:.1f} GPU hours and {total.bytes / 1e6:,.0f} MB of "
        f"results{beside}"
    )
    return f"{spent}\n{describe_memory(study, quality, timed)}"


def _scoring(method: Method, count: int, tokens: int) -> Cost:
    """Of a method over `count` documents of `tokens` each."""
    policy = method.build()
    scored = len(policy.positions(tokens))
    seconds = scored / EVALUATED_TOKENS_PER_S
    if policy.cache == "none":
        seconds *= policy.budget
    elif isinstance(policy, RefreshedPolicy):  # one after another, each bound by its launches
        segments = scored / policy.refresh_every
        forwarded = policy.refresh_traffic(tokens).passes * policy.lookback
        seconds += segments * (STEP_S + forwarded / EVALUATED_TOKENS_PER_S)
    return Cost(JOB_S + count * seconds, count * scored * RESULT_BYTES_PER_NLL)


def _timing(study: Study, run: str) -> Cost:
    speed = study.timing_settings(run)["speed"]
    read = sum(speed["points"]) / EVALUATED_TOKENS_PER_S
    policy = study.runs[run].method.build()
    if isinstance(policy, RefreshedPolicy):  # a prompt is read from refresh to refresh
        read += sum(speed["points"]) / policy.refresh_every * STEP_S
    stepped = len(speed["points"]) * (speed["warmup"] + speed["steps"]) * STEP_S
    compiled = COMPILATION_S if ENGINES[study.runs[run].engine].compiles else 0
    return Cost(JOB_S + compiled + (speed["repetitions"] + 1) * (read + stepped))


def _documents(corpus: dict) -> tuple[int, int] | None:
    """How many documents there are, and tokens in one of mean length; None where no text can be read yet."""
    try:
        count, size = _measure(corpus)
    except (UserError, OSError, ValueError):  # Arrow's complaints are ValueErrors; tokenization reports them
        return None
    tokens = size / count / BYTES_PER_TOKEN
    return count, int(min(tokens, corpus.get("max_tokens", tokens)))


def _measure(corpus: dict) -> tuple[int, int]:
    """Documents and bytes of text."""
    paths = corpora.find(corpus)
    if corpus["kind"] != "dataset":
        return len(paths), sum(path.stat().st_size for path in paths)
    rows, size = map(sum, zip(*(_rows_and_bytes(path, corpus["column"]) for path in paths), strict=True))
    wanted = min(rows, corpus.get("max_documents", rows))
    return (1 if corpus.get("join_rows") else wanted), size * wanted // rows


def _rows_and_bytes(path: Path, column: str) -> tuple[int, int]:
    """Rows of a parquet file and the column's bytes, as its last page says."""
    from pyarrow.parquet import read_metadata  # here, since most studies are planned without

    about = read_metadata(path)
    index = about.schema.names.index(column)
    groups = (about.row_group(group).column(index) for group in range(about.num_row_groups))
    return about.num_rows, sum(group.total_uncompressed_size for group in groups)
