"""Download from the hub: the only code that needs a network.

The client library discards a file whose download was cut, so files are streamed here: what has arrived of a
checkpoint of many GB is kept, and taken up again where it stopped. Every file must have the hash that the
hub gives for it, and the one that is expected (hub_lock). A fault of the network is met with patience.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
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
from sinkbench.artifacts.hub_lock import LOCK, check_digests, check_listing, lock_digests
from sinkbench.errors import UserError, first_line, shown
from sinkbench.runtime.progress import Progress

FORMATS = (".safetensors", ".json", ".parquet")  # data that cannot run code when it is read
TIMEOUT_S = 10
WAITS_S = (2, 10, 30)  # before a job tries again what the network or a busy hub refused
BUSY = 429  # the status of a hub that is asked too often; from 500 on the hub itself has failed
NETWORK_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
# The user's own token (HF_TOKEN, `hf auth login`) is never sent: HF_ENDPOINT may be anybody's.
TOKEN_VARIABLE = "SINKBENCH_HUB_TOKEN"
ADVICE = (
    "run `snakemake --cores 1 fetch` where there is a network and copy resources/hub here, or name local "
    f"folders in the config (source: folder); a mirror (HF_ENDPOINT) must be trusted unless {LOCK} has the "
    "files; `make demo` needs no network"
)


def fetch(repo: str, revision: str, kind: str, patterns: list[str], stated: Mapping[str, str]) -> None:
    """Download the files that match `patterns` and record sizes and hashes. Complete files are kept.

    Args:
        kind: "model" or "dataset".
        stated: sha256 that the config states, by file.

    Raises:
        UserError: no network, no such repository, no file of a pattern, or a file other than the hub's, the
            config's or the lock's.
    """
    repository = {"repo": repo, "revision": revision, "kind": kind, "patterns": patterns}
    files, folder = listed(**repository, waits=WAITS_S), hub_folder(repo, revision)
    check_listing(repo, revision, [file.rfilename for file in files], patterns, stated)

    def expect(name: str, digest: str) -> None:
        check_digests(repo, revision, {name: digest}, stated)

    digests = {}
    with Progress(f"fetch {repo}", "bytes", sum(file.size for file in files)) as progress:
        for file in files:
            url = hf_hub_url(repo, name := file.rfilename, repo_type=kind, revision=revision)
            with _explained(_title(repo, revision)):
                digests[name] = _complete(url, file, folder / name, progress, expect)
    lock_digests(repo, revision, digests)
    held = {file.rfilename: {"bytes": file.size, "sha256": digests[file.rfilename]} for file in files}
    write_json(record_path(repository), {**repository, "files": held})


def listed(repo: str, revision: str, kind: str, patterns: list[str], waits: tuple[float, ...] = ()) -> list:
    """List name, size and hash of the hub's files that match `patterns`; UserError as in `fetch`.

    Args:
        waits: seconds before each further try where the network fails.
    """
    title = _title(repo, revision)
    _check_client(title)
    about = {"revision": revision, "repo_type": kind, "files_metadata": True, "timeout": TIMEOUT_S}
    with _explained(title):
        info = _patiently(lambda: HfApi().repo_info(repo, token=_token(), **about), waits)
    chosen = {}
    for pattern in patterns:
        files = {file.rfilename: file for file in info.siblings if fnmatch(file.rfilename, pattern)}
        _check_allowed(title, pattern, list(files))
        chosen |= files
    return list(chosen.values())


def _check_client(title: str) -> None:
    """Raise UserError unless a client can be made of the environment's proxies and certificates."""
    try:
        get_session()
    except Exception as error:  # ssl, proxies and addresses have each their own; nothing was asked yet
        found = [name for name in os.environ if name.upper() in NETWORK_VARIABLES]
        named = f"; correct {' or '.join(sorted(found))}" if found else ""
        raise UserError(
            f"{title}: this machine's proxy or certificates cannot be used ({first_line(error)}){named}"
        ) from None


def _check_allowed(title: str, pattern: str, names: list[str]) -> None:
    taken = f"only {', '.join(FORMATS)} files are taken"
    if not names and pattern not in OPTIONAL_FILES:
        raise UserError(f"{title}: no file matches {shown(pattern)}; {taken}")
    for path in map(PurePosixPath, names):
        if path.suffix not in FORMATS or path.is_absolute() or ".." in path.parts:
            raise UserError(f"{title}: {shown(str(path))} is refused; {taken}")


def _complete(url: str, file, path: Path, progress: Progress, expect: Callable[[str, str], None]) -> str:
    """Bring one file, unless it is here; return its sha256.

    Args:
        expect: raises UserError for (file, sha256) that is not the expected one.
    """
    if file.lfs:
        expect(file.rfilename, file.lfs.sha256)  # before many GB are brought
    if path.is_file() and _is_the_hubs(path, file):
        progress(file.size)
        expect(file.rfilename, digest := file_sha256(path))
        return digest
    partial = path.with_name(f"{path.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    progress(partial.stat().st_size)
    _patiently(lambda: _download(url, file, partial, progress), WAITS_S)
    try:
        if not _is_the_hubs(partial, file):
            raise UserError(f"{path}: what arrived does not have the hub's hash and is deleted; fetch again")
        expect(file.rfilename, digest := file_sha256(partial))
    except UserError:
        partial.unlink()
        raise
    os.replace(partial, path)
    return digest


def _download(url: str, file, partial: Path, progress: Progress) -> None:
    """Fill up the partial file; a connection that is cut is opened again as long as it brings something."""
    while (held := partial.stat().st_size) < file.size:
        try:
            _append(url, partial, held, progress)
        except httpx2.TransportError:
            if partial.stat().st_size == held:
                raise


def _patiently(action: Callable, waits: tuple[float, ...]):
    """What the action returns. After each wait it is tried again, if a fault of network or hub ended it."""
    for wait in waits:
        try:
            return action()
        except httpx2.HTTPError as error:
            if not _may_pass(error):
                raise
            print(f"{first_line(error)}: again in {wait} s", flush=True)
            time.sleep(wait)
    return action()


def _may_pass(error: httpx2.HTTPError) -> bool:
    """Whether the same request may succeed later."""
    if (response := getattr(error, "response", None)) is None:
        return isinstance(error, httpx2.TransportError)
    return response.status_code == BUSY or response.is_server_error


def _append(url: str, partial: Path, held: int, progress: Progress) -> None:
    """Stream what comes after the `held` bytes that are there."""
    headers = {**build_hf_headers(token=_token()), "Range": f"bytes={held}-", "Accept-Encoding": "identity"}
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


def _token() -> str | bool:
    """The token that the user asked to be sent; False sends none."""
    return os.environ.get(TOKEN_VARIABLE) or False


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
            f"correct repo and revision in the config, or set {TOKEN_VARIABLE} to a token that may read it"
        ) from None
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"{title}: cannot be fetched from {ENDPOINT} ({first_line(error)}): {ADVICE}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:  # a login page of the network, for one
        raise UserError(f"{title}: no hub answers at {ENDPOINT} ({first_line(error)}): {ADVICE}") from None
    except OSError as error:
        raise UserError(f"{title}: cannot be written to {ROOT}: {error.strerror}") from None
