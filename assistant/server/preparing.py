"""Threads in which texts become prompts: few, so that they leave the others room, and done before the model is closed."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import Request as HttpRequest

from assistant.server.errors import ApiError
from assistant.server.watching import unless_disconnected

T = TypeVar("T")
GoOn = Callable[[], None]
"""Raises once nobody waits for the result any more; long work calls it between its steps."""
_THREADS = 4


class Preparing:
    """What is computed before the engine has a request, and for those that need none."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "bedside-preparing")

    async def run(self, http: HttpRequest, work: Callable[[GoOn], T]) -> T:
        """The result of `work`, which is told to stop where the client leaves or the server ends."""
        stopped = threading.Event()

        def go_on() -> None:
            if stopped.is_set():
                raise ApiError(499, "the client has left", "disconnected")

        try:
            return await unless_disconnected(http, asyncio.wrap_future(self._threads.submit(work, go_on)))
        finally:
            stopped.set()

    def close(self) -> None:
        """Wait for what runs: it uses the model. What waits is not begun."""
        self._threads.shutdown(cancel_futures=True)
