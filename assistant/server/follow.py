"""The events of a response's requests, measured as they pass, and what a whole answer gathers of them."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from assistant.engine.request import Event, Finished, Piece, PromptScores, Request, TokenLogprob
from assistant.server.service import Service
from assistant.server.watching import Idle, watch


async def follow(service: Service, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Event | Idle]]:
    """`watch`, with the metrics kept."""
    last: dict[int, float] = {}
    ended = 0
    try:
        async with aclosing(watch(service.text_model().scheduler, requests)) as events:
            async for place, event in events:
                if isinstance(event, Piece) and event.tokens:
                    now = time.monotonic()
                    if place in last:
                        service.metrics.piece(event, now - last[place])
                    last[place] = now
                elif isinstance(event, Finished):
                    service.metrics.ended(event)
                    ended += 1
                yield place, event
    except Exception:
        service.metrics.failed()
        raise
    except BaseException:  # the client has left
        service.metrics.left(len(requests) - ended)
        raise


@dataclass
class Followed:
    """One answer as it grows."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt_scores: tuple[TokenLogprob, ...] = ()
    finished: Finished | None = None

    def take(self, event: Event | Idle) -> None:
        """Add what an event brings."""
        if isinstance(event, Piece):
            self.text += event.text
            self.tokens += event.tokens
            self.logprobs += event.logprobs
        elif isinstance(event, PromptScores):
            self.prompt_scores = event.logprobs
        elif isinstance(event, Finished):
            self.finished = event

    @property
    def end(self) -> Finished:
        """The end; only once it has come."""
        assert self.finished is not None
        return self.finished
