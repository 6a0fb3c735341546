"""A Hugging Face Hub on 127.0.0.1: the routes, headers and redirects that a download uses, with faults to order."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.local_server import serve_locally

REPOSITORY = "clinic/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MOVED_COMMIT = "f" * 40


@dataclass
class HubState:
    """What the server holds and which faults it plays; tests change it while it runs."""

    files: dict[str, bytes]
    lfs: set[str]
    commit: str = COMMIT
    refuse: tuple[int, str] | None = None
    cut_after: dict[str, int] = field(default_factory=dict)
    hold_after: dict[str, int] = field(default_factory=dict)
    served_instead: dict[str, bytes] = field(default_factory=dict)
    ignore_range: bool = False
    commit_header: str | None = None
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def seen(self, part: str) -> list[dict[str, str]]:
        """Headers (lower-case names) of the requests whose path holds `part`."""
        return [headers for path, headers in self.requests if part in path]


def wait_for_bytes(path: Path, count: int) -> int:
    """Wait until a file has grown to `count` bytes, and return its size."""
    deadline = time.monotonic() + 20
    while (not path.exists() or path.stat().st_size < count) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.stat().st_size


def git_blob_id(data: bytes) -> str:
    """As `git hash-object` computes it."""
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest()


@contextmanager
def serve_hub(files: dict[str, bytes], lfs: set[str]) -> Iterator[HubState]:
    """The server, in a thread, for as long as the context lasts."""
    state = HubState(files, lfs)

    class Handler(_HubHandler):
        hub = state

    with serve_locally(Handler, state.release) as url:
        state.url = url
        yield state


class _HubHandler(BaseHTTPRequestHandler):
    hub: HubState
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.hub.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        path = self.path.split("?")[0]
        if path.startswith("/cdn/"):
            self._send_file(path.removeprefix("/cdn/"))
        elif self.hub.refuse is not None:
            status, code = self.hub.refuse
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "no"})
        elif re.fullmatch(rf"/api/models/{REPOSITORY}/revision/(main|[0-9a-f]{{40}})", path):
            self._send(200, json.dumps(self._model_info()).encode(), {"Content-Type": "application/json"})
        elif match := re.fullmatch(rf"/{REPOSITORY}/resolve/[0-9a-f]{{40}}/(.+)", path):
            self._resolve(match[1])
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _model_info(self) -> dict[str, object]:
        siblings = []
        for name, data in self.hub.files.items():
            row: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": git_blob_id(data)}
            if name in self.hub.lfs:
                digest = hashlib.sha256(data).hexdigest()
                row["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 134}
            siblings.append(row)
        return {"id": REPOSITORY, "modelId": REPOSITORY, "sha": self.hub.commit, "siblings": siblings}

    def _resolve(self, name: str) -> None:
        data = self.hub.files[name]
        headers = {"X-Repo-Commit": self.hub.commit_header or self.hub.commit}
        if name not in self.hub.lfs:
            self._send_file(name, headers | {"ETag": f'"{git_blob_id(data)}"'})
            return
        headers |= {
            "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(len(data)),
            "Location": self.hub.url.replace("127.0.0.1", "localhost") + f"/cdn/{name}",
        }
        self._send(302, b"", headers)

    def _send_file(self, name: str, headers: dict[str, str] | None = None) -> None:
        data = self.hub.served_instead.get(name, self.hub.files[name])
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and not self.hub.ignore_range else 0
        headers = dict(headers or {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        held = name in self.hub.hold_after
        stop = self.hub.hold_after.pop(name, None) if held else self.hub.cut_after.pop(name, None)
        self._send(206 if start else 200, data[start:], headers, stop=stop, held=held)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], stop: int | None = None, held: bool = False
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:stop])
        self.wfile.flush()
        if stop is not None:
            self.close_connection = True
            if held:
                self.hub.holding.set()
                self.hub.release.wait(30)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        """Quiet."""
