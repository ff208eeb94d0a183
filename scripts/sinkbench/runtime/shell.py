"""Run programs that this machine may or may not have."""

import subprocess

TIMEOUT_S = 20


def try_run(*command: str, env: dict[str, str] | None = None) -> str | None:
    """Output of a program, stripped; None if the program is missing, fails or hangs.

    Args:
        env: the program's environment, instead of this process's.
    """
    options = {"capture_output": True, "encoding": "utf-8", "errors": "replace", "timeout": TIMEOUT_S}
    try:
        result = subprocess.run(command, env=env, **options)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
