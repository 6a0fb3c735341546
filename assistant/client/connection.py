"""One server: requests to it, its answers as they stream, its refusals as errors of ours."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2 as httpx

from assistant.client.stopping import Stop
from assistant.errors import LOADING, ServerError

_CONNECT_S = 2.0
_GLANCE_S = 10.0
_SILENCE_S = 60.0
"""Longer than this no server is silent: it sends a comment every ten seconds."""
_LOADING_S = 300.0
_POLL_S = 0.05
_LONGEST_LINE = 8 * 2**20
_BUILD = re.compile(r'^bedside_build_info\{version="([^"]{1,40})"\}', re.MULTILINE)


class Connection:
    """A server at a URL, or behind a unix socket. Raises ServerError where it does not answer as it should."""

    def __init__(self, url: str, socket: Path | None = None, *, private: bool = False) -> None:
        self.where = url if socket is None else str(socket)
        self.is_private = private
        """Whether it was started for the terminal programs, with a model of their choice."""
        transport = None if socket is None else httpx.HTTPTransport(uds=str(socket))
        timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
        # Proxies of the environment must not see a question.
        with self._faults():
            self._client = httpx.Client(base_url=url, transport=transport, timeout=timeout, trust_env=False)

    def is_ready(self) -> bool:
        """Whether it has loaded its model; False also where nobody answers."""
        try:
            return self._client.get("/ready", timeout=_GLANCE_S).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_ready(self, say: Callable[[str], None]) -> None:
        """Until its model is loaded. Raises ServerError where that takes too long, nobody answers any more, or it never will.

        The socket of a service takes requests before the server behind it has begun to read them: its silence is waited out.
        """
        deadline = time.monotonic() + _LOADING_S
        said = False
        while not self.is_ready():
            found = self._glance()
            if found is not None and found.status_code == 503 and (told := _told(found)) != LOADING:
                raise ServerError(told)
            fails = found is not None and found.status_code not in (200, 503)
            if fails or time.monotonic() > deadline:
                raise ServerError(f"the server at {self.where} has not loaded its model within {_LOADING_S:g} s")
            if not said:
                say("loading the model")
                said = True
            time.sleep(_POLL_S)

    def _glance(self) -> httpx.Response | None:
        """What it says of being ready; None where it is silent. Raises ServerError where nobody is there."""
        with self._faults():
            try:
                return self._client.get("/ready", timeout=_GLANCE_S)
            except httpx.ReadTimeout:
                return None

    def model(self) -> str:
        """The name of its model."""
        with self._faults():
            found = self._client.get("/v1/models")
            _check(found)
            return str(found.json()["data"][0]["id"])

    def program_version(self) -> str | None:
        """The version of the program that serves; None of one that does not say."""
        with self._faults():
            found = self._client.get("/metrics", timeout=_GLANCE_S)
            _check(found)
            told = _BUILD.search(found.text)
        return told[1] if told else None

    def asks_for_key(self) -> bool:
        """Whether a request without a key is turned away. Raises ServerError where nobody answers."""
        with self._faults():
            return self._client.get("/v1/models", timeout=_GLANCE_S).status_code == 401

    def count_tokens(self, text: str) -> tuple[int, int]:
        """How many tokens the model reads a text as, and how many prompt and answer may have together."""
        with self._faults():
            found = self._client.post("/tokenize", json={"prompt": text, "add_special_tokens": False})
            _check(found)
            told = found.json()
            return int(told["count"]), int(told["max_model_len"])

    def check_library(self, name: str) -> None:
        """Raises ServerError, with the names that there are, where the server has no library of that name to read."""
        with self._faults():
            _check(self._client.post("/v1/knowledge/search", json={"query": name, "libraries": [name], "k": 1}))

    def chat(self, body: dict[str, Any], stop: Stop | None = None) -> Iterator[dict[str, Any]]:
        """The chunks of an answer. Closing the iterator early, or `stop` from another thread, ends the request on the server."""
        return self._stream("POST", "/v1/chat/completions", {**body, "stream": True}, stop)

    def device_events(self, stop: Stop | None = None) -> Iterator[dict[str, Any]]:
        """Samples of the meter, temperatures and throttling, as they come."""
        return self._stream("GET", "/v1/device/events", None, stop)

    def switch(self, model: str | None) -> Iterator[dict[str, Any]]:
        """Change its model, None for the one before: steps as they are done, then what it serves. Ends with the server's word."""
        return self._stream("POST", "/v1/model", {"model": model}, None)

    def _stream(
        self, method: str, path: str, body: dict[str, Any] | None, stop: Stop | None
    ) -> Iterator[dict[str, Any]]:
        with self._faults(), self._client.stream(method, path, json=body) as found:
            if stop is not None:
                stop.hold(found.extensions["network_stream"].get_extra_info("socket"))
            if found.status_code != 200:
                found.read()
                _check(found)
            yield from _chunks(found)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ServerError(f"{self.where} is no address; write http://HOST:PORT") from error
        except httpx.ConnectError as error:
            raise ServerError(f"no server answers at {self.where}; start one with `bedside serve`") from error
        except httpx.HTTPError as error:
            raise ServerError(f"the server at {self.where} ended in the middle of an answer; ask again") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise ServerError(f"what answers at {self.where} is no Bedside server; check the address") from error

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def retire(self) -> None:
        """Give it back for good: a server that was started for it alone is needed no more."""
        self.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check(found: httpx.Response) -> None:
    if found.status_code != 200:
        told = found.json()
        raise ServerError(str(told["error"]["message"]), told.get("bedside", {}).get("red_flags"))


def _told(found: httpx.Response) -> str:
    """The message of a refusal; where there is none, one says only that there is no answer yet."""
    try:
        return str(found.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return LOADING


def _chunks(found: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in _lines(found):
        if line == b"data: [DONE]":
            return
        if line.startswith(b"data: "):
            chunk = json.loads(line.removeprefix(b"data: "))
            if "error" in chunk:
                raise ServerError(str(chunk["error"]["message"]))
            yield chunk
    raise httpx.ReadError("the stream ended without its last line")


def _lines(found: httpx.Response) -> Iterator[bytes]:
    """What `iter_lines` gives, but a line without end is not gathered without end."""
    rest = b""
    for piece in found.iter_bytes():
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.rstrip(b"\r") for line in whole)
        if len(rest) > _LONGEST_LINE:
            raise ValueError("a line without end")
