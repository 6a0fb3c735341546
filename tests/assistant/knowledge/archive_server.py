"""A server on 127.0.0.1 that hands out an archive as GitHub does: behind a redirect, in chunks, without its length."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.local_server import serve_locally


@dataclass
class Archive:
    """What is served, and the faults to play; tests change it while it runs."""

    data: bytes
    status: int = 200
    cut_after: int | None = None
    """Bytes after which the connection is closed."""
    hold: bool = False
    """Whether the connection stays open where it would be closed, until the test ends."""
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def serve_archive(data: bytes) -> Iterator[Archive]:
    """The server, in a thread, for as long as the context lasts."""
    state = Archive(data)

    class Handler(_Handler):
        archive = state

    with serve_locally(Handler, state.release) as url:
        state.url = f"{url}/archive.zip"
        yield state


class _Handler(BaseHTTPRequestHandler):
    archive: Archive
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/archive.zip":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(self.archive.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = self.archive.data[: self.archive.cut_after]
        self.wfile.write(b"%x\r\n%b\r\n" % (len(sent), sent))
        if self.archive.cut_after is None:
            self.wfile.write(b"0\r\n\r\n")
            return
        self.wfile.flush()
        self.close_connection = True
        if self.archive.hold:
            self.archive.holding.set()
            self.archive.release.wait(30)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        """Quiet."""
