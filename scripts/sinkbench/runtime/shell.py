"""Run programs that this machine may or may not have."""

import subprocess

TIMEOUT_S = 20


def try_run(*command: str) -> str | None:
    """Output of a program, stripped; None if the program is missing, fails or hangs."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
