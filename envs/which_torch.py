"""Say which build of torch the NVIDIA driver here allows. Run by make before it installs."""

import subprocess
import sys

CUDA_13_DRIVER, CUDA_12_DRIVER = 580, 525  # the oldest that run them, by NVIDIA's compatibility table


def driver_major() -> int | None:
    """Major version of the NVIDIA driver, or None where there is none."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(found.split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def advice(major: int | None) -> str:
    """One line for a driver's major version."""
    if major is None:
        return (
            "No NVIDIA GPU here. The default build of torch will do, but may be the one for CUDA: 6 GB "
            "in all. The CPU build takes 2 GB: make TORCH_INDEX=<its index> (docs/running.md, 'Which torch')."
        )
    if major >= CUDA_13_DRIVER:
        return f"NVIDIA driver {major}: the default build of torch (CUDA 13) fits."
    if major >= CUDA_12_DRIVER:
        return f"NVIDIA driver {major} needs a CUDA 12 build of torch: TORCH_INDEX=<index of cu126 or cu128>."
    return f"NVIDIA driver {major} is too old for torch's CUDA builds: take {CUDA_12_DRIVER} or newer."


if __name__ == "__main__":
    print(advice(driver_major()))
    print(f"Installing the build of {sys.argv[1]}." if sys.argv[1:] else "Installing the default build.")
