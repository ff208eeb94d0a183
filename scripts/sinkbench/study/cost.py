"""Estimated cost of a study before its first job, for several cards, from what two of them showed.

A job is work of three kinds. Passes over many tokens go with a card's matrix rate, decode steps of one launch
with its bandwidth, and what waits for the host takes the same time beside every card. Free of torch, since it
is made whenever a run starts. Only jobs that are to run are counted.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from sinkbench.engines.table import ENGINES
from sinkbench.errors import UserError
from sinkbench.policies._refreshed import RefreshedPolicy
from sinkbench.results.datasheet import CARDS, Card
from sinkbench.runtime.shell import try_run
from sinkbench.study.device_memory import describe_memory
from sinkbench.study.run_table import Method
from sinkbench.study.study import Study
from sinkbench.text import corpora
from sinkbench.text.repeats import is_scored, text_tokens

SHOWN = {"A800": "NVIDIA A800-SXM4-80GB", "H100": "NVIDIA H100 80GB HBM3", "H200": "NVIDIA H200"}
# With Pythia-2.8b: docs/reference and docs/results.md.
EVALUATED_TOKENS_PER_S = 70_000  # on an H100 and on an H200, whose matrix rates are equal
MEASURED_ON = CARDS["NVIDIA H200"]
WEIGHT_BYTES, KEY_BYTES = 5.55e9, 327_680  # in bfloat16: all weights; keys and values of a token
BANDWIDTH_SHARE = 0.6  # of the datasheet's, that `graph` reaches on an H200; `fused` reaches more
STEP_S = 0.05  # of an engine that the host's launches bound, with dense attention; with a ring a third
JOB_S = 25  # imports, weights, and the evaluator's kernel from the compiler's cache
COMPILATION_S = 50
BYTES_PER_TOKEN = 4  # of English text and of source code alike, roughly
RESULT_BYTES_PER_NLL = 8


@dataclass(frozen=True)
class Work:
    """What jobs take; it adds up.

    Args:
        tokens: forwarded through the model many at a time.
        read_bytes: of weights and keys, by steps that are one launch.
        host_s: seconds that no card shortens.
        result_bytes: written.
    """

    tokens: float = 0.0
    read_bytes: float = 0.0
    host_s: float = 0.0
    result_bytes: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: float) -> "Work":
        return Work(*(times * part for part in astuple(self)))

    def seconds(self, card: Card) -> float:
        """Time on one card."""
        forwarded = self.tokens / EVALUATED_TOKENS_PER_S * MEASURED_ON.flops / card.flops
        return forwarded + self.read_bytes / (BANDWIDTH_SHARE * card.bytes_per_s) + self.host_s


def result_bytes(study: Study, quality: Iterable[tuple[str, str]]) -> float:
    """Bytes of the results of these (method, corpus), as far as their texts are here."""
    return _scoring(study, list(quality))[0].result_bytes


def _scoring(study: Study, quality: list[tuple[str, str]]) -> tuple[Work, list[str]]:
    """What scoring takes, and the corpora that are not here, of which nothing is known."""
    texts = {corpus: documents(study.corpora[corpus]) for corpus in sorted({name for _, name in quality})}
    work = [scoring(study.scored_method(*job), *texts[job[1]]) for job in quality if texts[job[1]]]
    return sum(work, Work()), [corpus for corpus, found in texts.items() if found is None]


def describe_cost(
    study: Study, quality: Iterable[tuple[str, str]], timed: Iterable[str], recalled: Iterable[str] = ()
) -> str:
    """A line on time and results, and one on the device's memory (device_memory).

    Args:
        quality: (method, corpus) of the perplexities that are to be measured.
        timed: runs that are to be timed or profiled, once for each job.
        recalled: methods whose recall is to be measured.
    """
    quality, timed, recalled = list(quality), list(timed), list(recalled)
    if not quality and not timed and not recalled:
        return "nothing is to be measured"
    scored, unknown = _scoring(study, quality)
    total = sum([timing(study, run) for run in timed], scored)
    total = sum([recalling(study, method) for method in recalled], total)
    beside = f", beside the texts of {', '.join(unknown)}, which are not here yet" if unknown else ""
    probed = f", {len(recalled)} recalls" if recalled else ""
    spent = (
        f"to do: {len(quality)} perplexities{probed} and {len(timed)} timings or profiles; at the rates of "
        f"Pythia-2.8b about {_hours(total)}, and {total.result_bytes / 1e6:,.0f} MB of results{beside}"
    )
    return f"{spent}\n{describe_memory(study, quality, timed)}"


def scoring(method: Method, count: int, tokens: int) -> Work:
    """Of a method over `count` documents of `tokens` each."""
    policy = method.build()
    scored = len(policy.positions(tokens))
    document = Work(tokens=scored, result_bytes=scored * RESULT_BYTES_PER_NLL)
    if policy.cache == "none":
        document += Work(tokens=scored * (policy.budget - 1))
    elif isinstance(policy, RefreshedPolicy):  # one after another, each bound by its launches
        segments = scored / policy.refresh_every
        forwarded = policy.refresh_traffic(tokens).passes * policy.lookback
        document += Work(tokens=segments * forwarded, host_s=segments * STEP_S)
    return document * count + Work(host_s=JOB_S)


def recalling(study: Study, method: str) -> Work:
    """Of a method's recall: two texts a passage and distance, each read alone; a short one fills a chunk."""
    settings = study.recall_settings(method)
    wanted, policy = settings["recall"], study.methods[method].build()
    work = Work(host_s=JOB_S)
    for distance in wanted["distances"]:
        if is_scored(policy, distance, wanted["passage_tokens"]):
            tokens = text_tokens(distance, wanted["passage_tokens"])
            read = Work(tokens=-(-tokens // settings["chunk_tokens"]) * settings["chunk_tokens"])
            if isinstance(policy, RefreshedPolicy):
                read = Work(tokens=tokens, host_s=tokens / policy.refresh_every * STEP_S)
            work += read * (2 * wanted["passages"])
    return work


def timing(study: Study, run: str) -> Work:
    """Of a run's timing, or of its profile."""
    chosen, speed = study.runs[run], study.timing_settings(run)["speed"]
    rounds, steps = speed["repetitions"] + 1, speed["warmup"] + speed["steps"]
    visits = (_visit(chosen, point, steps) for point in speed["points"])
    compiled = COMPILATION_S if ENGINES[chosen.engine].compiles else 0
    return sum(visits, Work()) * rounds + Work(host_s=JOB_S + compiled)


def _visit(run, point: int, steps: int) -> Work:
    """Reading a prompt of `point` tokens, and `steps` steps after it."""
    policy = run.method.build()
    read = Work(tokens=point)
    if isinstance(policy, RefreshedPolicy):  # a prompt is read from refresh to refresh
        read += Work(host_s=point / policy.refresh_every * STEP_S)
    if policy.cache == "none":  # a step is a pass
        return read + Work(tokens=steps * policy.budget)
    if not ENGINES[run.engine].one_launch:
        return read + Work(host_s=steps * STEP_S)
    keys = policy.visibility(point).keys_at(point)
    return read + Work(read_bytes=steps * (WEIGHT_BYTES + run.batch * keys * KEY_BYTES))


def _hours(work: Work) -> str:
    """Hours on the cards SHOWN, and on this machine's if the datasheet has it."""
    names = dict(SHOWN)
    here = (try_run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0") or "").strip()
    if here in CARDS and here not in names.values():
        names[here] = here
    each = [f"{work.seconds(CARDS[name]) / 3600:.1f} on an {short}" for short, name in names.items()]
    return f"{each[0].replace(' on', ' hours on', 1)}, {', '.join(each[1:])}"


def documents(corpus: dict) -> tuple[int, int] | None:
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
    wanted = len(corpus["rows"]) if "rows" in corpus else min(rows, corpus.get("max_documents", rows))
    return (1 if corpus.get("join_rows") else wanted), size * wanted // rows


def _rows_and_bytes(path: Path, column: str) -> tuple[int, int]:
    """Rows of a parquet file and the column's bytes, as its last page says."""
    from pyarrow.parquet import read_metadata  # here, since most studies are planned without

    about = read_metadata(path)
    index = about.schema.names.index(column)
    groups = (about.row_group(group).column(index) for group in range(about.num_row_groups))
    return about.num_rows, sum(group.total_uncompressed_size for group in groups)
