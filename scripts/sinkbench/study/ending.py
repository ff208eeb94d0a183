"""What a run says when it ends: which results are missing, why, and where their logs lie."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from sinkbench.artifacts.files import FAILED
from sinkbench.artifacts.lineage import read_metadata
from sinkbench.study.study import Study

KINDS = {
    "nll": "perplexity",
    "speed": "timing",
    "profile": "profile",
    "recall": "recall",
    "sinks": "share of attention",
    "continuations": "continuation",
}
REASONS = 8  # at most; the tables have all of them
ERROR = "error: "  # how the last line of a job's log begins that ended in a mistake of the user's


def statuses(study: Study, results: str | Path) -> dict[tuple[str, str], str]:
    """The status of every measuring job whose result is there, by folder and name."""
    found = {}
    for folder, name, _ in study.measuring_jobs():
        if notes := read_metadata(Path(results) / folder / f"{name}.parquet"):
            found[folder, name] = notes["status"]
    return found


def missing(found: dict[tuple[str, str], str], logs: str | Path) -> list[str]:
    """Lines on the results without a number: how many, and for each reason an example with its log.

    Args:
        found: `statuses`.
        logs: folder of the jobs' logs.
    """
    reasons = defaultdict(list)
    for job, status in found.items():
        if status != "ok":
            reasons[status].append(job)
    if not reasons:
        return []
    count = sum(map(len, reasons.values()))
    again = (
        "; what failed is tried again by the next run"
        if any(reason.startswith(FAILED) for reason in reasons)
        else ""
    )
    lines = [f"{count} of {len(found)} results have no number{again}:"]
    ranked = sorted(reasons.items(), key=lambda each: len(each[1]), reverse=True)
    for status, jobs in ranked[:REASONS]:
        folder, name = jobs[0]
        lines.append(f"  {len(jobs)}: {status} (such as {logs}/{folder}/{name}.log)")
    rest = ranked[REASONS:]
    return lines + ([f"  and {len(rest)} more reasons, see the tables"] if rest else [])


def nothing_measured(found: dict[tuple[str, str], str]) -> str | None:
    """The reason for which a run has failed as a whole: of a kind that it measured, no job has a number."""
    valid = {folder for (folder, _), status in found.items() if status == "ok"}
    measured = dict.fromkeys(folder for folder, _ in found if folder in KINDS)
    empty = [KINDS[folder] for folder in measured if folder not in valid]
    return f"no {' and no '.join(empty)} could be measured" if empty else None


def mistakes(logs: Iterable[Path], since: float) -> list[str]:
    """The last lines of jobs' logs, written after a time, that say what the user can mend."""
    return [line for path in logs if path.stat().st_mtime >= since and (line := _last_line(path))]


def _last_line(path: Path) -> str | None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"{lines[-1]} ({path})" if lines and lines[-1].startswith(ERROR) else None
