"""The door: what is turned away before anything reads it. Host, Origin, content type, key and size of every request.

The unix socket's own permissions guard it, so that no key is asked there; a browser cannot reach it.
"""

import asyncio
import hmac
import ipaddress
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.errors import LOADING
from assistant.server.errors import ApiError, answer, api_error
from assistant.server.gate import Gate
from assistant.server.service import Activity

_LOG = logging.getLogger(__name__)

OPEN_PATHS = ("/health", "/ready")
ALL_ADDRESSES = ("0.0.0.0", "::")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES = 4 * 2**20


@dataclass(frozen=True)
class DoorRules:
    """Who may come in over TCP."""

    key: str | None = None
    """Asked for in `Authorization: Bearer`; None lets any or no key pass."""
    hosts: tuple[str, ...] = LOCAL_HOSTS
    """Names under which the server may be addressed: a page that rebinds its name to 127.0.0.1 sends its own."""

    def knows(self, name: str, address: str) -> bool:
        """Whether a request over a connection to `address` may name this host: so, or as one of `hosts`."""
        return name in {host.lower() for host in self.hosts} or _is_address(name, address)


def names_of(host: str) -> tuple[str, ...]:
    """What a server that listens on `host` may be called; on all addresses by the machine's name, as mDNS tells it, too."""
    if host not in ALL_ADDRESSES:
        return (*LOCAL_HOSTS, host)
    own = socket.gethostname()
    return (*LOCAL_HOSTS, own, f"{own.partition('.')[0]}.local")


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, rules: DoorRules, activity: Activity, gate: Gate) -> None:
        self._app, self._rules, self._activity, self._gate = app, rules, activity, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with the reason."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._check(scope)
            with self._counted(scope["path"]), self._gate.passing(scope["path"]):
                await self._app(scope, receive, watched)
        except ApiError as refusal:
            await answer(refusal)(scope, receive, send)
        except asyncio.CancelledError:  # the server ends or changes its model, and this has not finished in its time
            if not started:
                why = LOADING if self._gate.is_closed else "the server is shutting down; try again later"
                await answer(ApiError(503, why, "not_ready"))(scope, receive, send)
        except Exception as error:
            # What is raised further is logged with its text, and that may hold a patient's words.
            _LOG.error("a %s request failed: %s", scope["method"], type(error).__name__)
            if not started:
                await answer(api_error(error))(scope, receive, send)

    @contextmanager
    def _counted(self, path: str) -> Iterator[None]:
        counts = path not in OPEN_PATHS
        self._activity.open_requests += counts
        try:
            yield
        finally:
            self._activity.open_requests -= counts
            if counts:
                self._activity.last_at = time.monotonic()

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers:
            raise ApiError(411, "send the body with a Content-Length", "length_required")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise ApiError(413, f"the body has {length[:20]} bytes; at most {MAX_BODY_BYTES} are taken", "too_large")
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            raise ApiError(415, "send the body as Content-Type: application/json", "content_type")
        if not _over_tcp(scope):
            return
        address = scope["server"][0]
        if not self._rules.knows(_host(f"//{headers.get('host', '')}"), address):
            raise ApiError(400, "the Host header names another machine; use the address the server listens on", "host")
        origin = headers.get("origin")
        if origin is not None and not self._rules.knows(_host(origin), address):
            raise ApiError(403, "pages of other origins may not ask here", "origin")
        if scope["path"] not in OPEN_PATHS:
            self._check_key(headers.get("authorization", ""))

    def _check_key(self, authorization: str) -> None:
        if self._rules.key is None:
            return
        kind, _, given = authorization.partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._rules.key.encode()):
            raise ApiError(401, "send the server's key as Authorization: Bearer KEY", "invalid_api_key")


def _over_tcp(scope: Scope) -> bool:
    """A unix socket has neither a port nor a client's address."""
    server = scope.get("server")
    return server is not None and server[1] is not None


def _is_address(name: str, address: str) -> bool:
    """Whether `name` spells the IP address; that of a link may have its zone behind it."""
    try:
        return ipaddress.ip_address(name.partition("%")[0]) == ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
