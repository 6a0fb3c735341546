"""`POST /v1/chat/completions`: plain conversations, and such that are answered from the libraries."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response

from assistant.client.answer import MAX_ANSWER_TOKENS
from assistant.engine.request import Event, Finished, Piece, Queued, Reading, Request, TokenLogprob
from assistant.engine.usage import Usage
from assistant.errors import PromptTooLongError
from assistant.knowledge.citations import Check
from assistant.knowledge.index import Index
from assistant.server.errors import ApiError, api_error
from assistant.server.follow import Followed, follow
from assistant.server.grounding import (
    PREFILL_S,
    Grounded,
    GroundedText,
    Room,
    Turns,
    first_fields,
    ground,
    library_names,
)
from assistant.server.overflow import drop_oldest
from assistant.server.preparing import GoOn
from assistant.server.safety import red_flags, refusal
from assistant.server.service import DEFAULT_ANSWER_TOKENS, Service, check_length, finish_reason, new_id, now, usage
from assistant.server.shapes import ChatCompletion, answer_or_stream
from assistant.server.sse import KEEP_ALIVE, frame, stream
from assistant.server.watching import Idle, unless_disconnected
from assistant.server.wire import ChatRequest, Message
from models.errors import BedsideError
from models.grounding import NO_ANSWER
from models.runtime.model import Model


def chat_router(service: Service) -> APIRouter:
    """The route, over one service."""
    router = APIRouter()

    @router.post("/v1/chat/completions", response_model=None, responses=answer_or_stream(ChatCompletion))
    async def chat(body: ChatRequest, http: HttpRequest) -> Response:
        """Answer a conversation."""
        service.check_model(body.model)
        flags = await service.preparing.run(http, lambda _: red_flags(body.messages, service.contacts))
        try:
            reply = _Reply(
                service, body, flags, await service.preparing.run(http, partial(_prepare_readable, service, body))
            )
            if body.stream:
                return await stream(reply.frames(), http.url.path)
            return JSONResponse(await unless_disconnected(http, reply.whole()))
        except (ApiError, BedsideError) as error:  # a note may be too long to be answered, and yet tell of a danger
            raise replace(api_error(error, http.url.path), red_flags=flags) from error

    return router


@dataclass(frozen=True)
class _Prepared:
    """What the engine is asked; nothing where the host answers: the libraries hold nothing on the question, or it is refused."""

    requests: list[Request]
    text: GroundedText | None
    """For a grounded answer."""
    index: Index
    """Of the libraries that were searched."""
    dropped: int
    """Messages that were left out to make room."""
    refusal: str | None = None


def _prepare_readable(service: Service, body: ChatRequest, go_on: GoOn) -> _Prepared:
    """From the libraries that can be read, where all of them are to be."""
    return service.libraries.reading(library_names(body.knowledge), partial(_prepare, service, body, go_on))


def _prepare(service: Service, body: ChatRequest, go_on: GoOn) -> _Prepared:
    loaded = service.text_model()
    most = body.max_completion_tokens or body.max_tokens
    names = library_names(body.knowledge)
    index = service.libraries.index(names)
    answer_tokens = _room_for_answer(most, MAX_ANSWER_TOKENS if body.is_grounded else None, loaded.most_tokens)
    find = cache(partial(service.libraries.search, names))
    room = Room(loaded.most_tokens - answer_tokens, loaded.costs.prompt_tokens(PREFILL_S))

    def count(turns: Turns) -> int:
        go_on()
        return len(loaded.template.prompt_ids(loaded.model, turns))

    def arrange(messages: Sequence[Message]) -> Grounded:
        turns = [message.turn for message in messages]
        check_length(loaded, (turn["content"] for turn in turns))
        if not body.is_grounded:
            return Grounded(turns, ())
        return ground(index, find, messages, count, room)

    def fits(messages: Sequence[Message], left: int) -> bool:
        try:
            return count(arrange(messages).turns) <= loaded.most_tokens - left
        except PromptTooLongError:
            return False

    messages: Sequence[Message] = body.messages
    if body.drops_oldest:
        messages = _without_oldest(messages, fits, answer_tokens)
    arranged, refused = arrange(messages), refusal(body.messages)
    sources = () if refused is not None else arranged.sources
    text = GroundedText(sources, body.messages[-1].turn["content"]) if body.is_grounded else None
    prepared = _Prepared([], text, index, len(body.messages) - len(messages), refused)
    if refused is not None or (body.is_grounded and not sources):
        return prepared
    prompt = loaded.template.prompt_ids(loaded.model, arranged.turns)
    ask = partial(service.requests, body, prompt, logprobs=body.logprob_count)
    if body.is_grounded:
        return replace(prepared, requests=ask(most=answer_tokens, ends_repetition=True))
    return replace(prepared, requests=ask(most=most, schema=body.schema_of_answer))


def _without_oldest(
    messages: Sequence[Message], fits: Callable[[Sequence[Message], int], bool], answer_tokens: int
) -> Sequence[Message]:
    """The most that leaves room for an answer, of a token at least: a long last question is worth more than a long answer."""

    def leaves(left: int) -> Callable[[Sequence[Message]], bool]:
        return lambda some: fits(some, left)

    tries = (drop_oldest(messages, leaves(left)) for left in (answer_tokens, 1))
    return next((found for found in tries if fits(found, 1)), messages)


def _room_for_answer(wanted: int | None, longest: int | None, context_tokens: int) -> int:
    """Tokens that are kept for an answer while its prompt is fitted in: a quarter of the context at most."""
    limit = longest or wanted or DEFAULT_ANSWER_TOKENS
    return min(wanted or limit, limit, context_tokens // 4)


class _Reply:
    """One response, streamed or whole."""

    def __init__(self, service: Service, body: ChatRequest, flags: dict[str, Any], prepared: _Prepared) -> None:
        self._service, self._body, self._requests = service, body, prepared.requests
        self._model = service.text_model().model
        self._head = {"id": new_id("chatcmpl"), "created": now(), "model": service.name}
        self._refusal, self._text = prepared.refusal, prepared.text
        found = () if prepared.text is None else prepared.text.sources
        self._first = {
            **first_fields(flags, found, "off" if prepared.text is None else prepared.text.found),
            "notice": service.chosen.notice,
            "versions": {
                "bedside": version("bedside"),
                "model_sha256": service.chosen.sha256,
                "libraries": prepared.index.versions,
                "left_out": dict(prepared.index.left_out),
            },
            "dropped_messages": prepared.dropped,
        }

    async def whole(self) -> dict[str, Any]:
        """The response in one object."""
        answers = [Followed() for _ in self._requests]
        async for place, event in follow(self._service, self._requests):
            if isinstance(event, Piece) and self._text is not None:
                self._text.push(event.text)
            answers[place].take(event)
        texts = [answer.text for answer in answers]
        if not answers:
            texts = [self._host_answer()] * self._body.n
        elif self._text is not None:
            texts = [self._text.text]
        choices = [
            {
                "index": place,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": self._logprobs(answers[place].logprobs) if answers else None,
                "finish_reason": finish_reason(answers[place].end) if answers else self._host_reason,
            }
            for place, text in enumerate(texts)
        ]
        return {
            **self._head,
            "object": "chat.completion",
            "choices": choices,
            "usage": await self._usage([answer.end for answer in answers]),
            "bedside": self._merged([answer.end for answer in answers]),
        }

    def _merged(self, ended: Sequence[Finished]) -> dict[str, Any]:
        if self._text is None:
            return self._first
        checks = _check_fields(self._text.new_checks(ended=True))
        return {**self._first, **checks, "evidence": self._text.evidence(ended[0].reason if ended else "stop")}

    async def frames(self) -> AsyncIterator[bytes]:
        """The response in chunks: role, sources and evidence first, as soon as the request is taken."""
        ended: dict[int, Finished] = {}
        started: set[int] = set()
        for each in self._of_host():
            yield each
        async for place, event in follow(self._service, self._requests):
            if not isinstance(event, Idle) and place not in started:
                started.add(place)
                yield self._chunk(place, {"role": "assistant", "content": ""}, bedside=self._first)
            if isinstance(event, Finished):
                ended[place] = event
            for each in self._of_event(place, event):
                yield each
        if self._wants("include_usage"):
            used = await self._usage([ended[place] for place in sorted(ended)])
            yield frame({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": used})

    @property
    def _host_reason(self) -> str:
        return "content_filter" if self._refusal is not None else "stop"

    def _host_answer(self) -> str:
        """The whole answer where no model is asked; about no passage it would make one up."""
        if self._refusal is not None:
            return self._refusal
        assert self._text is not None  # without libraries the model is asked, but for a refusal
        return self._text.push(NO_ANSWER)

    def _of_host(self) -> list[bytes]:
        """The chunks of an answer without a model."""
        if self._requests:
            return []
        text, chunks = self._host_answer(), []
        last = None if self._text is None else {"evidence": self._text.evidence("stop")}
        for place in range(self._body.n):
            chunks += [
                self._chunk(place, {"role": "assistant", "content": ""}, bedside=self._first),
                self._chunk(place, {"content": text}),
                self._chunk(place, {}, reason=self._host_reason, bedside=last),
            ]
        return chunks

    def _of_event(self, place: int, event: Event | Idle) -> list[bytes]:
        if isinstance(event, Idle):
            return [KEEP_ALIVE]
        if isinstance(event, Piece):
            return self._of_piece(place, event)
        if isinstance(event, Finished):
            return self._of_end(place, event)
        if isinstance(event, Queued) and self._wants("include_progress"):
            return [self._chunk(place, {}, bedside={"queue": {"before": event.position}})]
        if isinstance(event, Reading) and self._wants("include_progress"):
            progress = {"done": event.done, "total": event.total, "cached": event.cached}
            return [self._chunk(place, {}, bedside={"prompt": progress})]
        return []

    def _of_piece(self, place: int, event: Piece) -> list[bytes]:
        text = event.text if self._text is None else self._text.push(event.text)
        chunks = []
        if text or (event.tokens and self._body.logprobs):
            chunks.append(self._chunk(place, {"content": text}, logprobs=self._logprobs(event.logprobs)))
        checks = [] if self._text is None else self._text.new_checks()
        return [*chunks, *([self._chunk(place, {}, bedside=_check_fields(checks))] if checks else [])]

    def _of_end(self, place: int, event: Finished) -> list[bytes]:
        if self._text is None:
            return [self._chunk(place, {}, reason=finish_reason(event))]
        checks = self._text.new_checks(ended=True)
        last = self._chunk(
            place, {}, reason=finish_reason(event), bedside={"evidence": self._text.evidence(event.reason)}
        )
        return [*([self._chunk(place, {}, bedside=_check_fields(checks))] if checks else []), last]

    def _wants(self, option: str) -> bool:
        return bool(getattr(self._body.stream_options, option, False))

    async def _usage(self, ended: list[Finished]) -> dict[str, object]:
        return await usage(self._service, ended, self._body.n) if ended else Usage().as_json()

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
        content: dict[str, Any] = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        if self._wants("include_usage"):
            content["usage"] = None
        if bedside is not None:
            content["bedside"] = bedside
        return frame(content)

    def _logprobs(self, found: tuple[TokenLogprob, ...] | list[TokenLogprob]) -> dict[str, Any] | None:
        """Of the message's tokens; the one that ends it is no part of it."""
        if not self._body.logprobs:
            return None
        content = [
            {
                **_token(self._model, each.token, each.logprob),
                "top_logprobs": [_token(self._model, token, value) for token, value in each.top],
            }
            for each in found
            if not self._model.is_end(each.token)
        ]
        return {"content": content, "refusal": None}


def _check_fields(checks: list[Check]) -> dict[str, Any]:
    return {"checks": [asdict(check) for check in checks]}


def _token(model: Model, token: int, logprob: float) -> dict[str, Any]:
    raw = model.token_bytes(token, special=True)
    return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}
