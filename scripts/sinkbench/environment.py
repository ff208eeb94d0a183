"""What a result was measured with: versions, device, driver, commit."""

import platform
import subprocess
from importlib.metadata import version

import torch


def environment(device: str) -> dict:
    """A flat record of software and hardware."""
    packages = ("torch", "transformers", "numpy", "pandas")
    record = {"python": platform.python_version(), "platform": platform.platform(), **_commit()}
    record |= {name: version(name) for name in packages}
    return record | (_cuda() if device == "cuda" else _cpu())


def _commit() -> dict:
    """The checkout's commit and whether it has local changes; both null outside a checkout."""
    head = _output("git", "rev-parse", "HEAD")
    changes = _output("git", "status", "--porcelain", "--untracked-files=no")
    return {"commit": head, "dirty": None if changes is None else bool(changes)}


def _cuda() -> dict:
    properties = torch.cuda.get_device_properties(0)
    driver = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0")
    return {
        "device": properties.name,
        "device_memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "driver": driver,
    }


def _cpu() -> dict:
    models = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    name = models[0] if models else platform.processor()
    return {"device": f"CPU ({name})", "threads": torch.get_num_threads()}


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:
            return file.readlines()
    except OSError:
        return []


def _output(*command: str) -> str | None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
