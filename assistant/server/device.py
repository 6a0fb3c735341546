"""`/v1/device`: the machine and its meters as `bedside device --json` shows them, and samples as they come."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from assistant.server.service import Service
from assistant.server.shapes import DeviceFacts, events_of
from assistant.server.sse import KEEP_ALIVE, frame, stream


def device_router(service: Service) -> APIRouter:
    """The routes, over one service."""
    router = APIRouter()

    @router.get("/v1/device", response_model=DeviceFacts)
    async def facts() -> dict[str, Any]:
        """Board, meters and what mends a missing one, a few seconds old at most."""
        return await service.power.facts()

    @router.get(
        "/v1/device/events",
        response_model=None,
        response_class=Response,
        responses=events_of("A sample, the board's state, or why nothing is measured, as JSON; in the end [DONE]."),
    )
    async def events() -> Response:
        """Samples of the meter as they come, temperatures and throttling every few seconds."""
        return await stream(_frames(service))

    return router


async def _frames(service: Service) -> AsyncIterator[bytes]:
    yield KEEP_ALIVE  # the headers go out before the first sample
    async with aclosing(service.power.events()) as contents:
        async for content in contents:
            yield KEEP_ALIVE if content is None else frame(content)
