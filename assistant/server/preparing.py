"""Threads in which texts become prompts: few, so that they leave the others room, and done before the model is closed."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from fastapi import Request as HttpRequest

from assistant.server.errors import ApiError
from assistant.server.watching import unless_disconnected

T = TypeVar("T")
GoOn = Callable[[], None]
"""Raises once nobody waits for the result any more; long work calls it between its steps."""
_THREADS = 4
_CLOSE_S = 5.0


class Preparing:
    """What is computed before the engine has a request, and for those that need none."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        # As daemons: Python waits at its end for all others, and what computes in a library cannot be told to stop.
        self._threads = [
            threading.Thread(target=self._work, name=f"bedside-preparing-{number}", daemon=True)
            for number in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, http: HttpRequest, work: Callable[[GoOn], T]) -> T:
        """The result of `work`, which is told to stop where the client leaves or the server ends."""
        stopped, future = threading.Event(), Future[T]()

        def go_on() -> None:
            if stopped.is_set():
                raise ApiError(499, "the client has left", "disconnected")

        self._jobs.put((future, lambda: work(go_on)))
        try:
            return await unless_disconnected(http, asyncio.wrap_future(future))
        finally:
            stopped.set()

    def close(self, wait_s: float = _CLOSE_S) -> bool:
        """Wait for what runs, and tell whether it has ended: if not, it still uses the model. What waits is not begun."""
        try:
            while (job := self._jobs.get_nowait()) is not None:
                job[0].cancel()
        except Empty:
            pass
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del job, future, work  # no text of a request stays here until the next comes
