"""A campaign of faults: the toy study of the tests is killed at random points until it is done.

Each fault is SIGKILL to the job's process, to Snakemake, or to the whole group. What the README says for that
case resumes the study: the same command; after a killed Snakemake `python scripts/unlock.py` before it. At
the end every number is compared, bit for bit, with those of a run that nobody disturbed.

    python benchmarks/faults.py --kills 30

Times, what is made of them, and records of when and where (environment, logs) differ between any two runs;
COMPARED says what must not.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from library import ROOT  # puts the library on the path

sys.path.insert(0, str(ROOT / "tests"))

from sinkbench.artifacts.parquet import read_table
from workflow_runner import Checkout, is_over

VICTIMS = ("job", "snakemake", "group")
COMPARED = ("tokens", "nll", "recall", "sinks", "continuations")  # folders whose tables hold no times
UNTIMED = (
    "perplexity",
    "nll_gap",
    "top_token_agreement",
    "kl_divergence",
    "recall",
    "sink_share",
)  # beginnings of the metrics that another run must repeat
ENDS_WITHIN_S = 10  # of its workflow's end, a job


class Campaign:
    """Kills, and what was seen after each.

    Args:
        checkout: whose study is run and killed.
        seed: of victims and moments.
        longest_s: between the start of a run and its kill.
    """

    def __init__(self, checkout: Checkout, seed: int = 0, longest_s: float = 20):
        self.checkout, self.random, self.longest_s = checkout, random.Random(seed), longest_s
        self.seen: list[dict] = []

    def fault(self, victim: str) -> bool:
        """A run is killed and a lock that it leaves removed as the README says; False if it ends before."""
        run = self.checkout.start()
        if self._wait(run, self.random.uniform(3, self.longest_s)):
            return False
        while not (jobs := jobs_of(run.pid)) and victim == "job" and run.poll() is None:
            time.sleep(0.05)
        if victim == "job":
            for job in jobs:
                os.kill(job, signal.SIGKILL)
        elif victim == "snakemake":
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        orphans = sum(not ends(job) for job in jobs)
        hint = None if victim == "job" else self._unlock()
        self.seen.append({"victim": victim, "in job": bool(jobs), "orphans": orphans, "hint": hint})
        return True

    def finish(self) -> subprocess.CompletedProcess:
        """The run that nobody disturbs."""
        return self.checkout.snakemake()

    def table(self) -> str:
        """Faults by victim: how many, how many met a running job, orphans, and hints that were given."""
        lines = [
            "| Killed | Faults | During a job | Orphans | Locks, each with its one line |",
            "| --- | --- | --- | --- | --- |",
        ]
        for victim in VICTIMS:
            mine = [fault for fault in self.seen if fault["victim"] == victim]
            orphans = sum(fault["orphans"] for fault in mine)
            hints = Counter(fault["hint"] for fault in mine)
            counts = (len(mine), sum(fault["in job"] for fault in mine), orphans, hints[True])
            lines.append(f"| {victim} | " + " | ".join(map(str, counts)) + " |")
        return "\n".join(lines)

    def _wait(self, run: subprocess.Popen, seconds: float) -> bool:
        """Whether the run ended by itself."""
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _unlock(self) -> bool:
        """Whether a lock was left; then the next run names the command, and the command works."""
        if not any((self.checkout.folder / ".snakemake/locks").glob("*.lock")):
            return False
        said = self.checkout.snakemake("--dry-run").stdout
        assert "Recover with: python scripts/unlock.py" in said, said
        unlock = [sys.executable, "scripts/unlock.py"]
        subprocess.run(unlock, cwd=self.checkout.folder, check=True, capture_output=True)
        return True


def jobs_of(pid: int) -> list[int]:
    """Processes of the scripts that a Snakemake runs; at its start it also asks the system this and that."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for file in listed for child in file.read_text(encoding="utf-8").split()]
    return [child for child in children if not is_over(child) and runs_a_script(child)]


def runs_a_script(pid: int) -> bool:
    """Whether a process is a job of Snakemake, by its command line."""
    try:
        return b"/.snakemake/scripts/" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def ends(pid: int) -> bool:
    """Whether the process ends within ENDS_WITHIN_S."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    while not (over := is_over(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return over


def differences(one: Path, other: Path) -> list[str]:
    """What two folders of results of one study do not share, times apart."""
    found = []
    names = [
        sorted(
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.is_file() and "logs" not in path.parts
        )
        for folder in (one, other)
    ]
    if names[0] != names[1]:
        found.append(f"files: {sorted(set(names[0]) ^ set(names[1]))}")
    for path in names[0]:
        if path.parts[0] in COMPARED and path.suffix == ".parquet":
            (frame, notes), (same, others) = read_table(one / path), read_table(other / path)
            undated_input = all(notes[key] == others[key] for key in ("stamp", "inputs"))
            if not (undated_input and frame.equals(same) and notes.get("status") == others.get("status")):
                found.append(str(path))
    return found + _measured_differences(one, other)


def _measured_differences(one: Path, other: Path) -> list[str]:
    """Rows: the same ones in the same order; and their numbers, where they are not made of times."""
    frames = [read_table(folder / "measurements.parquet")[0] for folder in (one, other)]
    columns = [name for name in frames[0] if name not in ("value", "low", "high", "n", "status")]
    if not frames[0][columns].equals(frames[1][columns]):
        return ["measurements.parquet: rows"]
    exact = frames[0]["metric"].str.startswith(UNTIMED)
    return [] if frames[0][exact].equals(frames[1][exact]) else ["measurements.parquet: numbers"]


def main() -> None:
    """Run a campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=20, help="seconds between start and kill")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        # Both copies at once: nobody needs to leave the code alone meanwhile.
        undisturbed, killed = (Checkout.new(Path(folder, name)) for name in ("undisturbed", "killed"))
        assert undisturbed.snakemake().returncode == 0
        campaign = Campaign(killed, options.seed, options.longest)
        while len(campaign.seen) < options.kills:
            if campaign.fault(VICTIMS[len(campaign.seen) % len(VICTIMS)]):
                print(len(campaign.seen), campaign.seen[-1], flush=True)
            else:
                check(undisturbed, campaign)
                shutil.rmtree(campaign.checkout.folder / "results")
        check(undisturbed, campaign)
        print(campaign.table())


def check(undisturbed: Checkout, campaign: Campaign) -> None:
    """End the study, and say what differs."""
    assert campaign.finish().returncode == 0
    results = [checkout.folder / "results/toy" for checkout in (undisturbed, campaign.checkout)]
    print("finished; differences:", differences(*results) or "none", flush=True)


if __name__ == "__main__":
    main()
