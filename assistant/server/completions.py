"""`POST /v1/completions`: strings or token ids, alone or in lists, with `echo` and exact log probabilities."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response

from assistant.engine.loaded import LoadedModel
from assistant.engine.request import Finished, Piece, PromptScores, Queued, Request, TokenLogprob
from assistant.server.errors import ApiError
from assistant.server.follow import Followed, follow
from assistant.server.offsets import AnswerOffsets, Placed, prompt_offsets
from assistant.server.preparing import GoOn
from assistant.server.service import Service, finish_reason, new_id, now, text_ids, usage
from assistant.server.shapes import Completion, answer_or_stream
from assistant.server.sse import KEEP_ALIVE, frame, stream
from assistant.server.watching import Idle, unless_disconnected
from assistant.server.wire import CompletionRequest
from models.runtime.model import Model


def completions_router(service: Service) -> APIRouter:
    """The route, over one service."""
    router = APIRouter()

    @router.post("/v1/completions", response_model=None, responses=answer_or_stream(Completion))
    async def complete(body: CompletionRequest, http: HttpRequest) -> Response:
        """Continue prompts."""
        service.check_model(body.model)
        requests = await service.preparing.run(http, partial(_requests, service, body))
        reply = _Reply(service, body, requests)
        if body.stream:
            return await stream(reply.frames(), http.url.path)
        return JSONResponse(await unless_disconnected(http, reply.whole()))

    return router


def _requests(service: Service, body: CompletionRequest, go_on: GoOn) -> list[Request]:
    found: list[Request] = []
    for prompt in _prompts(service.text_model(), body, go_on):
        if not prompt:
            raise ApiError(
                400, "prompt: it has no token, and this model no BOS to begin with", "invalid_value", "prompt"
            )
        found += service.requests(
            body,
            prompt,
            most=body.max_tokens,
            logprobs=body.logprobs,
            scores_prompt=body.echo and (body.logprobs is not None or body.max_tokens == 0),
        )
    return found


def _prompts(loaded: LoadedModel, body: CompletionRequest, go_on: GoOn) -> list[list[int]]:
    """Token ids as they were sent; text as `text_ids` reads it."""
    given = body.prompt
    if isinstance(given, str):
        return [text_ids(loaded, given)]
    prompts: list[list[int]] = []
    for each in given:
        go_on()
        if isinstance(each, int):
            return [[token for token in given if isinstance(token, int)]]
        if isinstance(each, str):
            prompts.append(text_ids(loaded, each))
        else:
            prompts.append(each)
    return prompts


class _Reply:
    """One response, streamed or whole; choices in the order of the prompts, `n` for each."""

    def __init__(self, service: Service, body: CompletionRequest, requests: Sequence[Request]) -> None:
        self._service, self._body, self._requests = service, body, requests
        self._model = service.text_model().model
        self._head = {"id": new_id("cmpl"), "object": "text_completion", "created": now(), "model": service.name}

    async def whole(self) -> dict[str, Any]:
        """The response in one object."""
        answers = [Followed() for _ in self._requests]
        async for place, event in follow(self._service, self._requests):
            answers[place].take(event)
        choices = [
            self._choice(place, self._echo(place) + answer.text, finish_reason(answer.end), self._scored(place, answer))
            for place, answer in enumerate(answers)
        ]
        used = await usage(self._service, [answer.end for answer in answers], self._body.n)
        return {**self._head, "choices": choices, "usage": used}

    async def frames(self) -> AsyncIterator[bytes]:
        """The response in chunks; with `echo` the prompt comes first."""
        ended: dict[int, Finished] = {}
        echoed: set[int] = set()
        offsets = [
            AnswerOffsets(self._model.token_bytes, len(self._echo(place))) for place in range(len(self._requests))
        ]
        async for place, event in follow(self._service, self._requests):
            if isinstance(event, Idle | Queued):
                yield KEEP_ALIVE  # the first at once: only who is written to is noticed when he leaves
            elif isinstance(event, PromptScores):
                echoed.add(place)
                yield self._chunk(place, self._echo(place), None, self._told_prompt(place, event.logprobs))
            elif isinstance(event, Piece):
                text = event.text if place in echoed else self._echo(place) + event.text
                echoed.add(place)
                yield self._chunk(place, text, None, self._told_now(offsets[place].take(event)))
            elif isinstance(event, Finished):
                ended[place] = event
                text = "" if place in echoed else self._echo(place)
                yield self._chunk(place, text, finish_reason(event), self._told_now(offsets[place].finish()))
        if self._body.stream_options is not None and self._body.stream_options.include_usage:
            used = await usage(self._service, [ended[place] for place in sorted(ended)], self._body.n)
            yield frame({**self._head, "choices": [], "usage": used})

    def _echo(self, place: int) -> str:
        if not self._body.echo:
            return ""
        given = self._body.prompt
        if isinstance(given, str):
            return given
        which = given[place // self._body.n]
        return which if isinstance(which, str) else self._model.detokenize(self._requests[place].prompt, special=True)

    def _scored(self, place: int, answer: Followed) -> dict[str, Any] | None:
        if self._body.logprobs is None:
            return None
        offsets = AnswerOffsets(self._model.token_bytes, len(self._echo(place)))
        whole = Piece(tuple(answer.tokens), answer.text, tuple(answer.logprobs))
        told = self._told([*offsets.take(whole), *offsets.finish()])
        if not self._body.echo:
            return told
        prompt = self._told_prompt(place, answer.prompt_scores)
        return {name: prompt[name] + told[name] for name in prompt}

    def _told_prompt(self, place: int, scores: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Entries of the whole prompt: nothing came before its first token, which has no probability."""
        prompt = self._requests[place].prompt
        spelled = (self._model.token_bytes(token, special=True) for token in prompt)
        offsets = prompt_offsets(spelled, self._echo(place))
        told = self._told(list(zip(scores, offsets[1:], strict=True)))
        return {
            "tokens": [_spelled(self._model, prompt[0]), *told["tokens"]],
            "token_logprobs": [None, *told["token_logprobs"]],
            "top_logprobs": [None, *told["top_logprobs"]],
            "text_offset": offsets,
        }

    def _told_now(self, found: Sequence[Placed]) -> dict[str, Any] | None:
        return self._told(found) if found else None

    def _told(self, found: Sequence[Placed]) -> dict[str, Any]:
        return {
            "tokens": [_spelled(self._model, each.token) for each, _ in found],
            "token_logprobs": [each.logprob for each, _ in found],
            "top_logprobs": [{_spelled(self._model, token): value for token, value in each.top} for each, _ in found],
            "text_offset": [place for _, place in found],
        }

    def _choice(self, place: int, text: str, reason: str | None, logprobs: dict[str, Any] | None) -> dict[str, Any]:
        return {"index": place, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def _chunk(self, place: int, text: str, reason: str | None, logprobs: dict[str, Any] | None) -> bytes:
        return frame({**self._head, "choices": [self._choice(place, text, reason, logprobs)]})


def _spelled(model: Model, token: int) -> str:
    """A token's text; bytes that are no text by themselves as OpenAI spells them, so that two tokens never look alike."""
    raw = model.token_bytes(token, special=True)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)
