"""Versions, device, host, driver and commit of a measurement."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from sinkbench.runtime.shell import try_run

CHECKOUT = Path(__file__).resolve().parents[3]  # that holds this library, wherever a job runs
CODE = ("scripts", "workflow")  # folders in which an untracked file counts
PACKAGES = ("torch", "transformers", "triton", "numpy", "pandas")
# Name in the record: name that nvidia-smi gives it.
GPU_FACTS = {
    "driver": "driver_version",
    "max_sm_clock_mhz": "clocks.max.sm",
    "memory_clock_mhz": "clocks.mem",
    "power_limit_w": "enforced.power.limit",
}


def environment(device: str) -> dict:
    """A flat record of software and hardware."""
    record = {"python": platform.python_version(), "platform": platform.platform(), **_commit()}
    record |= {name: _version(name) for name in PACKAGES}
    return record | (_cuda() if device == "cuda" else _cpu())


def nvidia_smi(query: str, *fields: str) -> list[list[str]] | None:
    """Values that nvidia-smi prints for this process's GPU, in plain numbers, a list for each line.

    Args:
        query: "gpu" (one line) or "compute-apps" (one line per process).

    Returns:
        None where there is no nvidia-smi, or it does not know one of the fields.
    """
    gpu = f"GPU-{torch.cuda.get_device_properties(0).uuid}"  # its numbering ignores CUDA_VISIBLE_DEVICES
    asked = (f"--query-{query}={','.join(fields)}", "--format=csv,noheader,nounits", f"--id={gpu}")
    answer = try_run("nvidia-smi", *asked)
    lines = None if answer is None else [line.split(", ") for line in answer.splitlines()]
    return lines if lines is not None and all(len(line) == len(fields) for line in lines) else None


def number(text: str | None) -> float | None:
    """The number of a printed value; None for a value that the device lacks, such as "[N/A]"."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _version(package: str) -> str | None:
    """Version of what was imported, or else installed; None without it: torch for a CPU brings no triton."""
    if imported := getattr(sys.modules.get(package), "__version__", None):
        return str(imported)
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> dict:
    """The commit of the checkout and whether its files differ; both null where it is no repository itself.

    A tarball unpacked inside somebody's repository has no commit. Every untracked file of code counts, even
    one that git ignores, and so does a file that git was told not to look at.
    """
    if _git("rev-parse", "--show-toplevel") != str(CHECKOUT):
        return {"commit": None, "dirty": None}
    edited = _git("status", "--porcelain", "--untracked-files=no")
    untracked = _git("ls-files", "--others", "--", *CODE) or ""
    added = [path for path in untracked.splitlines() if "__pycache__" not in path]
    unseen = [line for line in (_git("ls-files", "-v") or "").splitlines() if not line.startswith("H ")]
    dirty = None if edited is None else bool(edited or added or unseen)
    return {"commit": _git("rev-parse", "--verify", "HEAD"), "dirty": dirty}


def _git(*command: str) -> str | None:
    """Output of git in the checkout, whatever repository the environment names; None where git fails."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return try_run("git", "-C", str(CHECKOUT), *command, env=env)


def _cuda() -> dict:
    properties = torch.cuda.get_device_properties(0)
    (values,) = nvidia_smi("gpu", *GPU_FACTS.values()) or [[None] * len(GPU_FACTS)]
    facts = dict(zip(GPU_FACTS, values, strict=True))
    return {
        "device": properties.name,
        "device_memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "host": _processor(),
        "host_cores": len(os.sched_getaffinity(0)),
        **{name: value if name == "driver" else number(value) for name, value in facts.items()},
    }


def _cpu() -> dict:
    return {"device": f"CPU ({_processor()})", "threads": torch.get_num_threads()}


def _processor() -> str:
    """The CPU's model."""
    models = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []
