"""Download from the hub: the only code that needs a network.

The client library discards a file whose download was cut, so files are streamed here: what has arrived of a
checkpoint of many GB is kept, and taken up again where it stopped. Every file must have the hash that the
hub gives for it.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from sinkbench.artifacts.files import write_json
from sinkbench.artifacts.hub import OPTIONAL_FILES, ROOT, file_sha256, hub_folder, record_path
from sinkbench.errors import UserError
from sinkbench.runtime.progress import Progress

FORMATS = (".safetensors", ".json", ".parquet")  # data that cannot run code when it is read
TIMEOUT_S = 10
ADVICE = (
    "set HF_ENDPOINT to a mirror that this network reaches, or run `snakemake --cores 1 fetch` where there "
    "is a network and copy resources/hub here, or name local folders in the config (source: folder); "
    "`make demo` needs no network"
)


def fetch(repo: str, revision: str, kind: str, patterns: list[str]) -> None:
    """Download the files that match `patterns` and record sizes and hashes. Complete files are kept.

    Args:
        kind: "model" or "dataset".

    Raises:
        UserError: no network, no such repository, no file of a pattern, or a file other than the hub's.
    """
    repository = {"repo": repo, "revision": revision, "kind": kind, "patterns": patterns}
    files, folder = listed(**repository), hub_folder(repo, revision)
    with Progress(f"fetch {repo}", "bytes", sum(file.size for file in files)) as progress:
        for file in files:
            url = hf_hub_url(repo, file.rfilename, repo_type=kind, revision=revision)
            with _explained(_title(repo, revision)):
                _complete(url, file, folder / file.rfilename, progress)
    held = {file.rfilename: _describe(folder / file.rfilename) for file in files}
    write_json(record_path(repository), {**repository, "files": held})


def listed(repo: str, revision: str, kind: str, patterns: list[str]) -> list:
    """List name, size and hash of the hub's files that match `patterns`; UserError as in `fetch`."""
    title = _title(repo, revision)
    with _explained(title):
        info = HfApi().repo_info(
            repo, revision=revision, repo_type=kind, files_metadata=True, timeout=TIMEOUT_S
        )
    chosen = {}
    for pattern in patterns:
        files = {file.rfilename: file for file in info.siblings if fnmatch(file.rfilename, pattern)}
        _check_allowed(title, pattern, list(files))
        chosen |= files
    return list(chosen.values())


def _check_allowed(title: str, pattern: str, names: list[str]) -> None:
    taken = f"only {', '.join(FORMATS)} files are taken"
    if not names and pattern not in OPTIONAL_FILES:
        raise UserError(f"{title}: no file matches {pattern!r}; {taken}")
    for path in map(PurePosixPath, names):
        if path.suffix not in FORMATS or path.is_absolute() or ".." in path.parts:
            raise UserError(f"{title}: {str(path)!r} is refused; {taken}")


def _complete(url: str, file, path: Path, progress: Progress) -> None:
    """Bring one file; a connection that is cut is opened again as long as it brings something."""
    if path.is_file() and _is_the_hubs(path, file):
        progress(file.size)
        return
    partial = path.with_name(f"{path.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    progress(partial.stat().st_size)
    while (held := partial.stat().st_size) < file.size:
        try:
            _append(url, partial, held, progress)
        except httpx2.TransportError:
            if partial.stat().st_size == held:
                raise
    if not _is_the_hubs(partial, file):
        partial.unlink()
        raise UserError(f"{path}: what arrived does not have the hub's hash and is deleted; fetch again")
    os.replace(partial, path)


def _append(url: str, partial: Path, held: int, progress: Progress) -> None:
    """Stream what comes after the `held` bytes that are there."""
    headers = {**build_hf_headers(), "Range": f"bytes={held}-", "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
        hf_raise_for_status(response)
        resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT
        with open(partial, "ab" if resumed else "wb") as output:
            for chunk in response.iter_bytes():
                output.write(chunk)
                progress(len(chunk))


def _is_the_hubs(path: Path, file) -> bool:
    """Large files are known by their sha256, small ones by their git object id."""
    if path.stat().st_size != file.size:
        return False
    if file.lfs:
        return file_sha256(path) == file.lfs.sha256
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.blob_id


def _describe(path: Path) -> dict:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _title(repo: str, revision: str) -> str:
    return f"{repo}@{revision[:12]}"


@contextmanager
def _explained(title: str) -> Iterator[None]:
    """Turn what the client raises into one line."""
    try:
        yield
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise UserError(
            f"{title}: {ENDPOINT} has no such repository or revision, or keeps it private; "
            "correct repo and revision in the config"
        ) from None
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        raise UserError(f"{title}: cannot be fetched from {ENDPOINT} ({_reason(error)}): {ADVICE}") from None
    except (KeyError, TypeError, ValueError) as error:  # a login page of the network, for one
        raise UserError(f"{title}: no hub answers at {ENDPOINT} ({_reason(error)}): {ADVICE}") from None
    except OSError as error:
        raise UserError(f"{title}: cannot be written to {ROOT}: {error.strerror}") from None


def _reason(error: Exception) -> str:
    """The first line of what the client says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
