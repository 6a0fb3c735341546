"""The gate before the model: who is behind it, and the time in which nobody is let in since the model is being changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from assistant.errors import LOADING
from assistant.server.errors import ApiError

SWITCH_PATH = "/v1/model"
_WITHOUT_MODEL = (
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/v1/device",
    "/v1/device/events",
    "/v1/knowledge/search",
    SWITCH_PATH,
)
"""Answered all the while. What is not named here may use the model, which must not be freed under it."""


class Gate:
    """Belongs to the server's loop."""

    def __init__(self) -> None:
        self._inside: set[asyncio.Task[None]] = set()
        self.is_closed = False

    def check(self) -> None:
        """Raise ApiError while the model is being changed."""
        if self.is_closed:
            raise ApiError(503, LOADING, "not_ready")

    @contextmanager
    def passing(self, path: str) -> Iterator[None]:
        """Around a request of the task that runs. Raises ApiError as `check` does, unless it needs no model."""
        task = asyncio.current_task()
        if task is None or path in _WITHOUT_MODEL or path.startswith("/v1/models"):
            yield
            return
        self.check()
        self._inside.add(task)
        try:
            yield
        finally:
            self._inside.discard(task)

    def close(self) -> None:
        """Let nobody in until `open`."""
        self.is_closed = True

    def open(self) -> None:
        """Let requests in again."""
        self.is_closed = False

    async def wait_until_empty(self, wait_s: float) -> bool:
        """Whether all who were let in are out again within `wait_s`."""
        if self._inside:
            await asyncio.wait(self._inside, timeout=wait_s)
        return not self._inside

    async def empty(self) -> None:
        """End the requests that are still there: what they had sent stays sent."""
        for task in self._inside:
            task.cancel()
        if self._inside:
            await asyncio.wait(self._inside)
