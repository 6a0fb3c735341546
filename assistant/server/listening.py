"""Sockets to listen on, and the server on them: it drains on SIGTERM and Ctrl-C, and ends where its model cannot be loaded."""

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from assistant.client.sockets import answers
from assistant.errors import ServeError
from assistant.plaintext import plain_line
from assistant.server.door import OPEN_PATHS
from assistant.server.errors import RETRY_AFTER_S, ApiError, answer
from assistant.server.service import Service
from assistant.server.supervisor import Supervisor

_DRAIN_S = 20
_RECEIVE_S = 10.0
_SEND_S = 60.0
"""For a client who reads nothing of what waits for it; a pager may keep `bedside ask` from reading for a while."""
_BACKLOG = 256
_ACCEPTED_AT_ONCE = 16
"""From one socket, before the first of them can be counted."""
_MOST_CONNECTIONS = 256
_MORE_FOR_HEALTH = 16
"""Connections beyond the most, which are answered whether the server lives and nothing else."""
_LOG = logging.getLogger(__name__)
_MAX_HEADER_BYTES = 64 * 2**10
_LONGEST_SOCKET_BYTES = 107
"""sockaddr_un of Linux, without the NUL at its end: a longer path can be made by hard link, and never connected to."""


def unix_socket(path: Path) -> socket.socket:
    """Listen on `path`, readable and writable by owner and group. Raises ServeError, also where a server listens there."""
    if (length := len(os.fsencode(path))) > _LONGEST_SOCKET_BYTES:
        raise ServeError(
            f"the socket's path {path} has {length} bytes, {_LONGEST_SOCKET_BYTES} at most can be connected to;"
            " give a shorter --socket"
        )
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Under its name only once it listens: until then it would look like one that a killed server left.
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            made = Path(folder) / "s"
            listening.bind(str(made))
            made.chmod(0o660)
            listening.listen(_BACKLOG)
            with _locked(path.parent):
                if path.is_socket() and not answers(path):
                    path.unlink()
                try:
                    path.hardlink_to(made)
                except FileExistsError as error:
                    raise OSError(errno.EADDRINUSE, "") from error
    except OSError as error:
        listening.close()
        raise ServeError(f"cannot listen on {path} ({_reason(error)}); give another --socket") from error
    return listening


def remove_socket(path: Path, inode: int) -> None:
    """Remove the socket `path`, unless another server has taken its place while this one let answers finish."""
    with contextlib.suppress(OSError), _locked(path.parent):
        if path.stat().st_ino == inode:
            path.unlink()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One server at a time may replace a socket there: between a look at it and its removal another could put its own."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def tcp_socket(host: str, port: int) -> socket.socket:
    """Listen on TCP; port 0 takes a free one. Raises ServeError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ServeError(f"cannot listen on {host}:{port} ({_reason(error)}); give another --port") from error


def run_server(
    app: FastAPI,
    sockets: Sequence[socket.socket],
    idle_exit_s: float | None = None,
    supervisor: Supervisor | None = None,
) -> None:
    """Serve until a signal, or for `idle_exit_s` without a request, then let running answers finish.

    `supervisor` hears when the model is loaded, that the engine moves on, and of the end. Raises what loading the model raised,
    or what its engine failed with, and KeyboardInterrupt.
    """
    config = uvicorn.Config(
        app,
        log_level="error",  # its warnings are about what clients send, who could fill the disk with them
        access_log=False,
        server_header=False,
        http=_Protocol,
        ws="none",  # a request for an upgrade is one like any other
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_graceful_shutdown=_DRAIN_S,
        backlog=_ACCEPTED_AT_ONCE,
    )
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of pieces for a client who has left
    told = supervisor or Supervisor()
    server = _Server(config, app.state.service, told)
    app.state.on_failure = server.stop
    asyncio.run(_serve(server, sockets, app.state.service, idle_exit_s, told))
    if app.state.failure is not None:
        told.tell(f"STATUS={plain_line(str(app.state.failure))}")
        raise app.state.failure
    if server.interrupted:
        raise KeyboardInterrupt


async def _serve(
    server: "_Server",
    sockets: Sequence[socket.socket],
    service: Service,
    idle_exit_s: float | None,
    supervisor: Supervisor,
) -> None:
    asyncio.get_running_loop().set_exception_handler(_tell)
    beside = [asyncio.create_task(_report(supervisor, service))]
    if idle_exit_s:
        beside.append(asyncio.create_task(_stop_when_idle(server, service, idle_exit_s)))
    try:
        await server.serve(sockets=list(sockets))
    finally:
        for each in beside:
            each.cancel()


async def _report(supervisor: Supervisor, service: Service) -> None:
    supervisor.tell(f"STATUS=loading {service.name}")
    await service.is_loaded.wait()
    if service.loaded is not None:
        supervisor.tell("READY=1", f"STATUS=serving {service.name}")
        # While one model makes room for another there is no engine that could be stuck.
        await supervisor.watch(lambda: 0.0 if service.loaded is None else service.loaded.stalled_s())


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A line where the operating system gives no more connections or memory: asyncio tells of each with a traceback."""
    if isinstance(context.get("exception"), MemoryError):
        _LOG.error("no memory is left: a connection was closed")
    elif str(context.get("message", "")).startswith("socket.accept()"):
        _LOG.warning("a connection cannot be taken (%s)", type(context.get("exception")).__name__)
    else:
        loop.default_exception_handler(context)


def _most_connections() -> int:
    """A quarter of the files that may be open: the model, its meters and what is being accepted need some, too."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(_MOST_CONNECTIONS, files // 4)


def _peer_uid(transport: asyncio.Transport) -> int | None:
    """Which user connects over a unix socket, as the kernel tells; None over TCP."""
    own = transport.get_extra_info("socket")
    if own is None or own.family != socket.AF_UNIX:
        return None
    told = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[1])


def _crowded(connections: int) -> ApiError:
    return ApiError(503, f"{connections} connections are open; try again later", "connections")


async def _only_health(app: ASGIApp, most: int, scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind a connection that is one too many: who watches the server has to reach it all the same."""
    if scope["path"] in OPEN_PATHS:
        await app(scope, receive, send)
    else:
        refusal = answer(_crowded(most))
        refusal.headers["Connection"] = "close"
        await refusal(scope, receive, send)


def _unread() -> ApiError:
    most = f"headers of at most {_MAX_HEADER_BYTES // 2**10} KiB"
    return ApiError(400, f"this is no HTTP/1.1 request that can be read; {most} are taken", "invalid_http")


def _response(refusal: ApiError) -> bytes:
    """The whole of a response, for a connection that no application has been asked for."""
    body, status = json.dumps(refusal.body), f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
    retry = f"Retry-After: {RETRY_AFTER_S}\r\n" if refusal.status == 503 else ""
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{retry}Connection: close"
    return f"HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}".encode()


async def _stop_when_idle(server: "_Server", service: Service, idle_exit_s: float) -> None:
    while (left_s := service.activity.last_at + idle_exit_s - time.monotonic()) > 0 or service.activity.open_requests:
        await asyncio.sleep(max(left_s, 1.0))
    server.stop()


class _Protocol(H11Protocol):
    """One of so many at most. A request must be here within `_RECEIVE_S`: uvicorn alone waits for ever for the rest of it.

    What is sent must be taken: uvicorn alone waits for ever for that, too.
    """

    _deadline: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """The time runs from here, or from the first byte of the next request."""
        most, open_now = _most_connections(), len(self.connections)
        if open_now >= most + _MORE_FOR_HEALTH:
            self.transport = transport
            transport.write(_response(_crowded(most)))
            transport.close()
            return
        if open_now >= most:
            self.app = partial(_only_health, self.app, most)
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer_uid": _peer_uid(transport)}
        transport.set_write_buffer_limits(high=0)  # writing is paused as soon as anything waits to be taken
        self._deadline = self.loop.call_later(_RECEIVE_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """It ends with the last byte of a request."""
        super().data_received(data)
        self._expect_the_rest()

    def on_response_complete(self) -> None:
        """A part of the next request may have come with the last one: it was not looked at until now."""
        super().on_response_complete()
        self._expect_the_rest()

    def _expect_the_rest(self) -> None:
        state = self.conn.their_state
        begun = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if not begun and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif begun and self._deadline is None:
            self._deadline = self.loop.call_later(_RECEIVE_S, self.transport.close)

    def pause_writing(self) -> None:
        """Something waits to be taken."""
        super().pause_writing()
        self._expect_to_send(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """All is taken."""
        super().resume_writing()
        self._stop_sending()

    def _expect_to_send(self, waiting: int) -> None:
        self._sending = self.loop.call_later(_SEND_S, self._look_whether_sent, waiting)

    def _look_whether_sent(self, waiting: int) -> None:
        """A slow client is waited for; a close would wait for one who takes nothing."""
        if (left := self.transport.get_write_buffer_size()) < waiting:
            self._expect_to_send(left)
        else:
            self.transport.abort()

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def send_400_response(self, msg: str) -> None:
        """In the shape of all other refusals; into a response that has begun nothing is put."""
        del msg
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_response(_unread()))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """No time is left to run out."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._stop_sending()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """uvicorn raises a signal that it has met once more at its end, which would leave the socket behind."""

    interrupted = False

    def __init__(self, config: uvicorn.Config, service: Service, supervisor: Supervisor) -> None:
        super().__init__(config)
        self._service, self._supervisor = service, supervisor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """What may wait outside is as much as before: asyncio listens once more, with what it accepts at once."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(_BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams without an end of their own end first: the others are waited for."""
        self._supervisor.tell("STOPPING=1", "STATUS=letting answers finish")
        self._service.power.end_events()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Drain and end."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal drains, the second ends at once; after it Python would answer one more with a traceback."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._meet, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    def _meet(self, number: int) -> None:
        self.interrupted = self.interrupted or number == signal.SIGINT
        self.force_exit = self.should_exit
        if self.force_exit:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it shows what is cut off as a fault
        self.should_exit = True


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
