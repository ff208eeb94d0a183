"""Other programs that this machine may or may not have."""

import subprocess

TIMEOUT_S = 20


def try_run(*command: str) -> str | None:
    """What a program prints, stripped; None where there is no such program, or it fails or hangs."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
