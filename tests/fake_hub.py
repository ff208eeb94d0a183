"""A hub on 127.0.0.1 with the few answers that a download needs: what a revision holds, and its files."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".parquet")  # the hub keeps these outside git and redirects to them


class FakeHub:
    """Serves `files`, {name: content}, as repository `repo` at REVISION. Use it as a context manager.

    Tests may set `cut_after` (bytes of a body after which every connection is cut), `cuts` (how many
    connections are cut; then the hub answers 503 if `dies`), `busy` (by a part of the path: statuses of the
    next answers there), `page` (what stands in front of the hub, such as a network's login page), and read
    `requests` (path, Range header) and `tokens` (what was sent to authorize).
    """

    def __init__(self, repo: str, kind: str, files: dict[str, bytes]):
        self.repo, self.kind, self.files = repo, kind, files
        self.cut_after, self.cuts, self.dies, self.page = None, 0, False, None
        self.busy: dict[str, list[int]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.tokens: set[str] = set()
        self.hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def info(self) -> dict:
        """What the hub's API says of the repository."""
        return {"id": self.repo, "sha": REVISION, "siblings": [self._sibling(name) for name in self.files]}

    def _sibling(self, name: str) -> dict:
        content = self.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"rfilename": name, "size": len(content), "blobId": blob}
        if name.endswith(LARGE):
            entry["lfs"] = {"sha256": self.hashes[name], "size": len(content), "pointerSize": 130}
        return entry


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        hub, path = self.hub, unquote(self.path.split("?")[0])
        hub.requests.append((path, self.headers["Range"]))
        hub.tokens |= {self.headers["Authorization"]} - {None}
        prefix = "/datasets" if hub.kind == "dataset" else ""
        if failing := [statuses for part, statuses in hub.busy.items() if part in path and statuses]:
            self._reply(failing[0].pop(0), b"")
        elif hub.page:
            self._reply(200, hub.page)
        elif path.startswith(f"/api/{hub.kind}s/{hub.repo}/revision/"):
            self._info(path.rsplit("/", 1)[1])
        elif path.startswith(resolve := f"{prefix}/{hub.repo}/resolve/{REVISION}/"):
            self._resolve(path.removeprefix(resolve))
        elif path.startswith("/large/"):
            self._content(path.removeprefix("/large/"))
        else:
            self._reply(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _info(self, revision: str) -> None:
        if revision == REVISION:
            self._reply(200, json.dumps(self.hub.info()).encode())
        else:
            self._reply(404, b"", {"X-Error-Code": "RevisionNotFound"})

    def _resolve(self, name: str) -> None:
        if name.endswith(LARGE):
            self._reply(302, b"", {"Location": f"{self.hub.endpoint}/large/{name}"})
        else:
            self._content(name)

    def _content(self, name: str) -> None:
        content, hub = self.hub.files[name], self.hub
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if hub.dies and hub.cuts == 0:
            self._reply(503, b"")
            return
        cut = hub.cut_after if hub.cuts else None
        hub.cuts = max(0, hub.cuts - 1)
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self._reply(206 if self.headers["Range"] else 200, content[start:], headers, cut)

    def _reply(self, status: int, body: bytes, headers: dict | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *_):
        """Silence: tests read `requests` instead."""
