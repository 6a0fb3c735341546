"""A server that speaks Bedside's API and answers by a script: what the terminal does can then be timed and looked at.

A script is what one answer consists of: chunks, pauses in seconds, and events that it waits for.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

Step = dict[str, Any] | float | threading.Event
Script = Sequence[Step]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

VERSIONS = {
    "bedside": "0.1.0",
    "model_sha256": "5ba95aee" * 8,
    "libraries": {"starter": "2026-11-21.9f3c1a7b"},
    "left_out": {},
}
FLAGS: dict[str, Any] = {"screened": True, "reason": None, "rules": "2026-11", "findings": []}
USAGE: dict[str, Any] = {
    "prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340, "prompt_tokens_details": {"cached_tokens": 0},
    "bedside": {
        "prompt_tokens_per_s": 900.0, "decode_tokens_per_s": 41.2, "time_to_first_token_s": 0.32, "load_s": 0.0,
        "queued_s": 0.0, "cached_tokens": 0, "drafted_tokens": 0, "accepted_tokens": 0, "finish_reason": "stop",
        "joules": None, "watts": None, "tokens_per_joule": None, "sensor": None, "scope": None, "kind": None,
    },
}  # fmt: skip


def source(number: int, title: str, section: str, text: str) -> dict[str, Any]:
    """A passage as the first chunk has it."""
    return {
        "n": number, "id": f"starter/scripted#{number}@0000000{number}", "title": title, "section": section, "text": text,
        "date": "2026-11-21", "licence": "Apache-2.0", "follows": "A guideline, 2024", "source": "Bedside",
        "position": f"section {number}",
    }  # fmt: skip


def first(sources: Sequence[dict[str, Any]] = (), **fields: Any) -> dict[str, Any]:
    """The chunk that comes before the prompt is read."""
    told = {
        "red_flags": FLAGS, "evidence": "sufficient", "sources": list(sources), "dropped_messages": 0,
        "notice": "reference model: not for clinical use", "versions": VERSIONS, **fields,
    }  # fmt: skip
    return {**piece(""), "bedside": told}


def piece(text: str, **bedside: Any) -> dict[str, Any]:
    """A chunk with the next words, or with fields of ours."""
    choice = {"index": 0, "delta": {"content": text} if text or not bedside else {}, "finish_reason": None}
    told = {"bedside": bedside} if bedside else {}
    return {"model": "reference", "object": "chat.completion.chunk", "choices": [choice], **told}


def last(**usage: Any) -> dict[str, Any]:
    """The usage chunk."""
    told = {**USAGE, "bedside": {**USAGE["bedside"], **usage}}
    return {"model": "reference", "object": "chat.completion.chunk", "choices": [], "usage": told}


@dataclass
class ScriptedServer:
    """Answers each question with the next script; the last one again and again."""

    scripts: list[Script]
    events: list[dict[str, Any]] = field(default_factory=list)
    """What the device says, once to each that listens."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The questions that came."""
    left: threading.Event = field(default_factory=threading.Event)
    """A client went away in the middle of an answer."""
    refusal: str = ""
    """Why questions are refused; empty where they are answered."""
    refused_flags: dict[str, Any] | None = None
    """What was found in a question that is refused."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            return
        path, body = scope["path"], b""
        while (message := await receive()).get("more_body"):
            body += message.get("body", b"")
        body += message.get("body", b"")
        if path == "/v1/chat/completions":
            await self._answer(json.loads(body), receive, send)
        elif path == "/v1/device/events":
            await self._stream(self.events, receive, send)
        elif path == "/tokenize":
            count = len(json.loads(body)["prompt"].split())
            await _whole(send, {"tokens": [], "count": count, "max_model_len": 2048})
        elif path == "/v1/knowledge/search" and (wanted := json.loads(body)["libraries"]) != ["starter"]:
            told = f"no library named {wanted[0]!r} (available: starter); name one of these, or on or off"
            await _whole(send, {"error": {"message": told}}, 404)
        else:
            await _whole(send, {"data": [{"id": "reference"}]})

    async def _answer(self, body: dict[str, Any], receive: Receive, send: Send) -> None:
        self.bodies.append(body)
        if self.refusal:
            found = {"bedside": {"red_flags": self.refused_flags}} if self.refused_flags else {}
            await _whole(send, {"error": {"message": self.refusal}, **found}, 400)
            return
        script = self.scripts[min(len(self.bodies), len(self.scripts)) - 1]
        await self._stream(script, receive, send)

    async def _stream(self, script: Script, receive: Receive, send: Send) -> None:
        await send(_head(200, b"text/event-stream"))
        gone = asyncio.create_task(receive())
        for step in script:
            if isinstance(step, dict):
                await send(_part(f"data: {json.dumps(step)}\n\n".encode()))
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                while not step.is_set() and not gone.done():
                    await asyncio.sleep(0.005)
            if gone.done():
                self.left.set()
                return
        gone.cancel()
        await send(_part(b"data: [DONE]\n\n"))
        await send({"type": "http.response.body", "body": b""})


def _head(status: int, kind: bytes) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]}


def _part(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _whole(send: Send, content: dict[str, Any], status: int = 200) -> None:
    await send(_head(status, b"application/json"))
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


@contextmanager
def serving(app: ScriptedServer, port: int = 0) -> Iterator[str]:
    """Its address, for as long as the context lasts."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise OSError("the scripted server has not started")
            threading.Event().wait(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
