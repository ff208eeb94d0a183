"""Run Snakemake on a copy of the checkout, and say which jobs it would run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COPIED = [
    "Snakefile",
    "config.yaml",
    "profiles",
    "workflow",
    "scripts",
    "envs",
    "resources/demo-model",
    "resources/demo-draft",
    "docs/reference/ladder",  # which the report shows
]
JOB = re.compile(r"^(?:local)?rule (\w+):$((?:\n    .+)*)", re.MULTILINE)
WILDCARDS = re.compile(r"wildcards: (.+)")


class Checkout:
    """A copy of the workflow in `folder`, running the toy study with a config that tests may edit.

    Attributes:
        code: the scripts that it runs: of a copy those of the original, until an edit of the copy's own.
    """

    def __init__(self, folder: Path):
        self.folder, self.toy, self.code = folder, folder / "toy.yaml", folder / "scripts"

    @classmethod
    def new(cls, folder: Path) -> "Checkout":
        """A fresh one, without results."""
        ignore = shutil.ignore_patterns("__pycache__")
        for name in COPIED:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
        shutil.copy(ROOT / "tests/toy.yaml", folder / "toy.yaml")
        return cls(folder)

    def copy(self, folder: Path, *ignored: str) -> "Checkout":
        """A copy in `folder`, with its results, without files of the `ignored` names; weights are shared."""
        ignore = shutil.ignore_patterns(*ignored)
        shutil.copytree(self.folder, folder, ignore=ignore, copy_function=_copy_or_link)
        copy = Checkout(folder)
        copy.code = self.code
        return copy

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run snakemake with the toy study; output is text, standard error included."""
        return subprocess.run(self._command(*arguments), stdout=subprocess.PIPE, **self._options())

    def start(self) -> subprocess.Popen:
        """Snakemake with the toy study, at work in a process group of its own; its output is dropped."""
        return subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, start_new_session=True, **self._options()
        )

    def _command(self, *arguments: str) -> list[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        return [*command, "--configfile", "workflow/studies/demo.yaml", "toy.yaml"]

    def _options(self) -> dict:
        return {"cwd": self.folder, "stderr": subprocess.STDOUT, "text": True}

    def planned(self, *arguments: str) -> set[str]:
        """Jobs that a run would start, such as "streaming_quality streaming-4+124 stdlib"."""
        output = self.snakemake("--dry-run", *arguments)
        assert output.returncode == 0, output.stdout
        return {_job(name, body) for name, body in JOB.findall(output.stdout)} - {"all"}

    def config(self) -> dict:
        """The toy overlay."""
        return yaml.safe_load(self.toy.read_text())

    def write_config(self, config: dict) -> None:
        """Replace the toy overlay."""
        self.toy.write_text(yaml.safe_dump(config, sort_keys=False))


def _copy_or_link(source: str, target: str) -> None:
    os.link(source, target) if source.endswith(".safetensors") else shutil.copy2(source, target)


def _job(name: str, body: str) -> str:
    found = WILDCARDS.search(body)
    values = [pair.split("=")[1] for pair in found[1].split(", ")] if found else []
    return " ".join([name, *values])


def is_over(pid: int) -> bool:
    """Whether a process has ended, be it not yet waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
