"""A hub of checkpoints on loopback: the few routes that `huggingface_hub` uses."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

Files = dict[str, bytes]
LFS = (".safetensors", ".bin", ".pth")


class Hub:
    """Repositories with their revisions.

    downloads: every file that was sent, as repository/path. ranges: the Range headers of these
    requests. weak: the files, as in `downloads`, whose connection breaks halfway at the first
    request; later requests get 503 until the name is removed.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Files]] = {}
        self.downloads: list[str] = []
        self.ranges: list[str | None] = []
        self.weak: set[str] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def do_HEAD(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def push(self, repository: str, files: Files) -> str:
        """A new revision; the newest is `main`."""
        digest = hashlib.sha1(usedforsecurity=False)
        for name, data in sorted(files.items()):
            digest.update(name.encode() + data)
        self.repositories.setdefault(repository, {})[digest.hexdigest()] = files
        return digest.hexdigest()

    def push_folder(self, repository: str, folder: Path) -> str:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return self.push(
            repository, {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        )

    @contextmanager
    def running(self) -> Iterator["Hub"]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()
        thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = unquote(urlsplit(request.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._describe(request, "/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self._send_file(request, "/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            request.send_error(404)

    def _find(self, repository: str, revision: str) -> tuple[str, Files] | None:
        revisions = self.repositories.get(repository, {})
        name = [*revisions][-1] if revision == "main" and revisions else revision
        return (name, revisions[name]) if name in revisions else None

    def _describe(self, request: BaseHTTPRequestHandler, repository: str, rest: list[str]) -> None:
        entry = self._find(repository, rest[1] if len(rest) > 1 else "main")
        if entry is None:
            exists = repository in self.repositories
            self._refuse(request, 404, "RevisionNotFound" if exists else "RepoNotFound")
            return
        revision, files = entry
        if rest[:1] == ["tree"]:
            self._send_json(request, [tree_entry(name, data) for name, data in files.items()])
            return
        siblings = [{"rfilename": name, **sizes(name, data)} for name, data in files.items()]
        self._send_json(request, {"id": repository, "sha": revision, "siblings": siblings})

    def _send_json(self, request: BaseHTTPRequestHandler, content: object) -> None:
        data = json.dumps(content).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _send_file(
        self, request: BaseHTTPRequestHandler, repository: str, revision: str, name: str
    ) -> None:
        entry = self._find(repository, revision)
        if entry is None or name not in entry[1]:
            self._refuse(request, 404, "EntryNotFound")
            return
        data, path = entry[1][name], f"{repository}/{name}"
        is_download = request.command == "GET"
        if is_download and path in self.weak and path in self.downloads:
            self._refuse(request, 503, "Unavailable")
            return
        wish = request.headers.get("Range") if is_download else None
        start = int(wish.removeprefix("bytes=").partition("-")[0]) if wish else 0
        whole, data = data, data[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        request.send_header("Content-Length", str(len(data)))
        request.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        request.send_header("X-Repo-Commit", entry[0])
        request.end_headers()
        if is_download:
            self.downloads.append(path)
            self.ranges.append(wish)
            is_weak = path in self.weak
            request.wfile.write(data[: len(data) // 2] if is_weak else data)
            request.close_connection = is_weak

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()


@contextmanager
def hub_of_this_process(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this process's client asks, with an empty cache."""
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    with hub.running():
        yield hub


def sizes(name: str, data: bytes) -> dict[str, object]:
    """Large files are known by SHA-256, small ones by git's hash."""
    facts: dict[str, object] = {"size": len(data), "blobId": hashlib.md5(data).hexdigest()}
    if name.endswith(LFS):
        sha256 = hashlib.sha256(data).hexdigest()
        facts["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 1}
    return facts


def tree_entry(name: str, data: bytes) -> dict[str, object]:
    described = sizes(name, data)
    lfs = described.get("lfs")
    entry: dict[str, object] = {
        "type": "file", "path": name, "size": len(data), "oid": described["blobId"],
    }  # fmt: skip
    if isinstance(lfs, dict):
        entry["lfs"] = {"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": 1}
    return entry
