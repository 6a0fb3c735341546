"""`POST /v1/chat/completions`."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from assistant.engine.request import Finished, Piece, Reading, Request, TokenLogprob
from assistant.server.follow import Followed, follow
from assistant.server.service import Service, finish_reason, new_id, now, usage
from assistant.server.sse import KEEP_ALIVE, frame, stream
from assistant.server.watching import Idle, unless_disconnected
from assistant.server.wire import ChatRequest
from models.runtime.model import Model


def chat_router(service: Service) -> APIRouter:
    """The route, over one service."""
    router = APIRouter()

    @router.post("/v1/chat/completions", response_model=None)
    async def chat(body: ChatRequest, http: HttpRequest) -> Response:
        """Answer a conversation."""
        service.check_model(body.model)
        requests = await run_in_threadpool(_requests, service, body)
        reply = _Reply(service, body)
        if body.stream:
            return await stream(reply.frames(requests))
        return JSONResponse(await unless_disconnected(http, reply.whole(requests)))

    return router


def _requests(service: Service, body: ChatRequest) -> list[Request]:
    loaded = service.ready()
    prompt = loaded.template.prompt_ids(loaded.model, [message.turn for message in body.messages])
    schema = None if body.response_format is None else body.response_format.schema_of_answer
    most = body.max_completion_tokens or body.max_tokens
    return service.requests(body, prompt, most=most, schema=schema, logprobs=body.logprob_count)


class _Reply:
    """One response, streamed or whole."""

    def __init__(self, service: Service, body: ChatRequest) -> None:
        self._service, self._body = service, body
        self._model = service.ready().model
        self._head = {"id": new_id("chatcmpl"), "created": now(), "model": service.name}

    async def whole(self, requests: list[Request]) -> dict[str, Any]:
        """The response in one object."""
        answers = [Followed() for _ in requests]
        async for place, event in follow(self._service, requests):
            answers[place].take(event)
        choices = [
            {
                "index": place,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": self._logprobs(answer.logprobs),
                "finish_reason": finish_reason(answer.end),
            }
            for place, answer in enumerate(answers)
        ]
        load_s = self._service.ready().load_s
        return {
            **self._head,
            "object": "chat.completion",
            "choices": choices,
            "usage": usage([answer.end for answer in answers], load_s),
        }

    async def frames(self, requests: list[Request]) -> AsyncIterator[bytes]:
        """The response in chunks: the role first, as soon as the request is taken."""
        options = self._body.stream_options
        ended: list[Finished] = []
        started: set[int] = set()
        async for place, event in follow(self._service, requests):
            if isinstance(event, Idle):
                yield KEEP_ALIVE
                continue
            if place not in started:
                started.add(place)
                yield self._chunk(place, {"role": "assistant", "content": ""})
            if isinstance(event, Piece) and (event.text or event.logprobs):
                yield self._chunk(place, {"content": event.text}, logprobs=self._logprobs(event.logprobs))
            elif isinstance(event, Reading) and options is not None and options.include_progress:
                progress = {"done": event.done, "total": event.total, "cached": event.cached}
                yield self._chunk(place, {}, bedside={"prompt": progress})
            elif isinstance(event, Finished):
                ended.append(event)
                yield self._chunk(place, {}, reason=finish_reason(event))
        if options is not None and options.include_usage:
            yield frame({**self._envelope(), "choices": [], "usage": usage(ended, self._service.ready().load_s)})

    def _envelope(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}

    def _chunk(
        self,
        place: int,
        delta: dict[str, Any],
        *,
        reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
        bedside: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": place, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        content: dict[str, Any] = {**self._envelope(), "choices": [choice]}
        if self._body.stream_options is not None and self._body.stream_options.include_usage:
            content["usage"] = None
        if bedside is not None:
            content["bedside"] = bedside
        return frame(content)

    def _logprobs(self, found: tuple[TokenLogprob, ...] | list[TokenLogprob]) -> dict[str, Any] | None:
        if not self._body.logprobs:
            return None
        content = [
            {
                **_token(self._model, each.token, each.logprob),
                "top_logprobs": [_token(self._model, token, value) for token, value in each.top],
            }
            for each in found
        ]
        return {"content": content, "refusal": None}


def _token(model: Model, token: int, logprob: float) -> dict[str, Any]:
    raw = model.token_bytes(token, special=True)
    return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}
