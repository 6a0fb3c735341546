"""The engine's events in the server's loop: requests in, events out, and a cancellation where the client has left."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request as HttpRequest

from assistant.engine.request import Event, Failed, Finished, Request, Ticket
from assistant.engine.scheduler import Scheduler
from assistant.errors import QueueFullError
from assistant.server.errors import ApiError

KEEP_ALIVE_S = 10.0
MAX_AT_ONCE = 8
"""Requests of one HTTP request that are with the engine at a time."""
T = TypeVar("T")


@dataclass(frozen=True)
class Idle:
    """Comes every `KEEP_ALIVE_S`, whatever else does."""


async def watch(scheduler: Scheduler, requests: Sequence[Request]) -> AsyncGenerator[tuple[int, Event | Idle], None]:
    """The events of all requests with the place of theirs, until all have ended.

    Leaving early cancels what still runs. Raises what the engine refuses or fails with.
    """
    loop, events = asyncio.get_running_loop(), asyncio.Queue[tuple[int, Event | Idle]]()

    def submit(place: int, request: Request) -> Ticket:
        def tell(event: Event) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(events.put_nowait, (place, event))

        ticket = Ticket(request, tell)
        scheduler.submit(ticket)
        return ticket

    async def tick() -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            events.put_nowait((0, Idle()))

    # Not asyncio.wait_for: up to Python 3.11 it may swallow the cancellation that comes with an event.
    ticking = asyncio.create_task(tick())
    tickets: dict[int, Ticket] = {}
    left = deque(enumerate(requests))
    try:
        while tickets or left:
            _submit_more(left, tickets, submit)
            place, event = await events.get()
            if isinstance(event, Finished | Failed):
                del tickets[place]
            if isinstance(event, Failed):
                raise event.error
            yield place, event
    finally:
        ticking.cancel()
        for ticket in tickets.values():
            scheduler.cancel(ticket)


def _submit_more(
    left: deque[tuple[int, Request]], tickets: dict[int, Ticket], submit: Callable[[int, Request], Ticket]
) -> None:
    """As many at once as may be; one that the queue has no room for waits for another of the same client to end."""
    while left and len(tickets) < MAX_AT_ONCE:
        place, request = left[0]
        try:
            tickets[place] = submit(place, request)
        except QueueFullError:
            if not tickets:
                raise
            return
        left.popleft()


async def unless_disconnected(http: HttpRequest, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled where the client leaves before it is done."""
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_disconnection(http))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(499, "the client has left", "disconnected")
        return task.result()
    finally:
        left.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


async def _disconnection(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
