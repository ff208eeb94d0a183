"""Memory and time that a job asks of a cluster, from the study's own size.

A size that is not known yet, since an input is still to be made, raises FileNotFoundError with that input's
name: Snakemake then asks again once the file is there.
"""

import errno
from collections.abc import Iterable
from math import ceil
from pathlib import Path

from sinkbench.artifacts.files import read_json
from sinkbench.results.datasheet import CARDS
from sinkbench.study.cost import SHOWN, Work, recalling, scoring, timing
from sinkbench.study.study import Study

SLOWEST = min((CARDS[name] for name in SHOWN.values()), key=lambda card: card.flops)
MARGIN, LEAST_MINUTES = 3, 30  # a job that runs out of time is lost: of slow disks, busy hosts, older cards
BASE_MB, NLL_BYTES = 2_000, 8  # of aggregation: libraries and resamples; all NLLs and their positions
NLLS_PER_MINUTE = 4e6  # that are aggregated


def scoring_minutes(study: Study, method: str, corpus: str, tokens: str) -> int:
    """Time limit of a quality job; `tokens` is the token file that it reads."""
    _require(tokens)
    record = read_json(Path(tokens).with_suffix(".json"))
    mean = record["tokens"] // record["documents"]
    return _minutes(scoring(study.scored_method(method, corpus), record["documents"], mean))


def timing_minutes(study: Study, run: str) -> int:
    """Time limit of a timing or of a profile."""
    return _minutes(timing(study, run))


def recall_minutes(study: Study, method: str) -> int:
    """Time limit of a recall job."""
    return _minutes(recalling(study, method))


def aggregation_mb(quality: Iterable[str]) -> int:
    """Memory of aggregation, in MB of Slurm; `quality` are the files of NLLs."""
    return BASE_MB + ceil(_rows(quality) * NLL_BYTES / 1e6)


def aggregation_minutes(quality: Iterable[str]) -> int:
    """Time limit of aggregation."""
    return LEAST_MINUTES + ceil(_rows(quality) / NLLS_PER_MINUTE)


def _minutes(work: Work) -> int:
    return LEAST_MINUTES + ceil(MARGIN * work.seconds(SLOWEST) / 60)


def _rows(paths: Iterable[str]) -> int:
    from pyarrow import ArrowInvalid  # here, since most plans need no such size
    from pyarrow.parquet import read_metadata

    rows = 0
    for path in paths:
        try:
            rows += read_metadata(_require(path)).num_rows
        except ArrowInvalid:  # damaged, and about to be made again
            raise FileNotFoundError(errno.ENOENT, "is damaged", str(path)) from None
    return rows


def _require(path: str) -> str:
    if not Path(path).is_file():
        raise FileNotFoundError(errno.ENOENT, "is not made yet", str(path))
    return path
