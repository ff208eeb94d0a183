"""What a run says when it ends: which results are missing, why, and where their logs lie."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from sinkbench.artifacts.files import FAILED
from sinkbench.artifacts.lineage import read_metadata
from sinkbench.study.study import Study

KINDS = {"nll": "perplexity", "speed": "timing", "profile": "profile", "continuations": "continuation"}
REASONS = 8  # at most; the tables have all of them
ERROR = "error: "  # how the last line of a job's log begins that ended in a mistake of the user's


def missing(study: Study, results: str | Path) -> list[str]:
    """Lines on the results without a number: how many, and for each reason an example with its log."""
    statuses = _statuses(study, Path(results))
    reasons = defaultdict(list)
    for job, status in statuses.items():
        if status != "ok":
            reasons[status].append(job)
    if not reasons:
        return []
    count = sum(map(len, reasons.values()))
    again = "; what failed is tried again by the next run" if any(map(has_failed, reasons)) else ""
    lines = [f"{count} of {len(statuses)} results have no number{again}:"]
    ranked = sorted(reasons.items(), key=lambda each: len(each[1]), reverse=True)
    for status, jobs in ranked[:REASONS]:
        folder, name = jobs[0]
        lines.append(f"  {len(jobs)}: {status} (such as {results}/logs/{folder}/{name}.log)")
    rest = ranked[REASONS:]
    return lines + ([f"  and {len(rest)} more reasons, see the tables"] if rest else [])


def nothing_measured(study: Study, results: str | Path) -> str | None:
    """The reason for which a run has failed as a whole: of a kind that it measured, no job has a number."""
    found = defaultdict(list)
    for (folder, _), status in _statuses(study, Path(results)).items():
        if folder in KINDS:
            found[folder].append(status == "ok")
    empty = [KINDS[folder] for folder, valid in found.items() if not any(valid)]
    return f"no {' and no '.join(empty)} could be measured" if empty else None


def mistakes(logs: Iterator[Path], since: float) -> list[str]:
    """The last lines of jobs' logs, written after a time, that say what the user can mend."""
    return [line for path in logs if path.stat().st_mtime >= since and (line := _last_line(path))]


def _statuses(study: Study, results: Path) -> dict[tuple[str, str], str]:
    """The status of every measuring job whose result is there, by folder and name."""
    found = {}
    for folder, name, _ in study.measuring_jobs():
        if notes := read_metadata(results / folder / f"{name}.parquet"):
            found[folder, name] = notes.get("status", "ok")
    return found


def has_failed(status: str) -> bool:
    """Whether a result ended in a fault, so that the next run makes it again."""
    return status.startswith(FAILED)


def _last_line(path: Path) -> str | None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"{lines[-1]} ({path})" if lines and lines[-1].startswith(ERROR) else None
