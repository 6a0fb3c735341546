"""The one client of all servers: OpenAI's streamed completions over plain sockets, each piece stamped as it arrives."""

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 600


@dataclass(frozen=True)
class Streamed:
    """One answer; times are `time.monotonic()` seconds."""

    sent_at: float
    arrived_at: tuple[float, ...]
    """Each piece of text."""
    ended_at: float
    completion_tokens: int
    usage: Mapping[str, Any]

    @property
    def first_s(self) -> float:
        """From sending to the first piece."""
        return self.arrived_at[0] - self.sent_at

    @property
    def decode_tokens_per_s(self) -> float:
        """Over the tokens after the first."""
        return (self.completion_tokens - 1) / (self.arrived_at[-1] - self.arrived_at[0])

    @property
    def gaps_s(self) -> list[float]:
        """Between one piece and the next."""
        return [b - a for a, b in zip(self.arrived_at, self.arrived_at[1:], strict=False)]


class BrokenAnswerError(Exception):
    """A server gave no whole answer."""


def complete(url: str, body: Mapping[str, Any], path: str = "/v1/completions") -> Streamed:
    """Send one request and read its stream to the end. Raises BrokenAnswerError."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_S)
    stream = {"stream": True, "stream_options": {"include_usage": True}, "temperature": 0, **body}
    arrived: list[float] = []
    usage: Mapping[str, Any] = {}
    sent_at = time.monotonic()
    try:
        connection.request("POST", path, json.dumps(stream), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise BrokenAnswerError(f"{url}{path}: {response.status} {response.read(500)!r}")
        while line := response.readline():
            if not line.startswith(b"data: {"):
                continue
            now = time.monotonic()
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise BrokenAnswerError(f"{url}{path}: {chunk['error']}")
            usage = chunk.get("usage") or usage
            if any(choice.get("text") or choice.get("delta", {}).get("content") for choice in chunk["choices"]):
                arrived.append(now)
    finally:
        connection.close()
    tokens = int(usage.get("completion_tokens", body["max_tokens"]))
    if not arrived or tokens != body["max_tokens"]:
        raise BrokenAnswerError(f"{url}{path}: {tokens} tokens of {body['max_tokens']}")
    return Streamed(sent_at, tuple(arrived), time.monotonic(), tokens, usage)


def together(url: str, bodies: Sequence[Mapping[str, Any]], delays_s: Sequence[float] | None = None) -> list[Streamed]:
    """Each request in a thread of its own, sent at once or after its delay. Raises what the first failing one raised."""
    answers: list[Streamed | None] = [None] * len(bodies)
    failures: list[Exception] = []

    def ask(place: int) -> None:
        try:
            time.sleep(0 if delays_s is None else delays_s[place])
            answers[place] = complete(url, bodies[place])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [answer for answer in answers if answer is not None]
