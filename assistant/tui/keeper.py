"""A history in a thread of its own: the screen never waits for the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from assistant.errors import HistoryError
from assistant.history.store import History

Result = TypeVar("Result")


class Keeper:
    """One history; what is asked of it is done in the order in which it was asked."""

    def __init__(self, opened: Callable[[], History] = History.in_memory) -> None:
        self._thread = ThreadPoolExecutor(1, "history")
        self._history = self._thread.submit(opened)
        self.is_closed = False

    async def opened(self) -> None:
        """Until it is open. Raises HistoryError where it cannot be opened."""
        await asyncio.wrap_future(self._history)

    async def call(self, work: Callable[[History], Result]) -> Result:
        """What `work` returns. Raises HistoryError, as the history does."""
        if self.is_closed:
            raise HistoryError("the history is closed behind the lock; unlock it first")
        return await asyncio.wrap_future(self._thread.submit(lambda: work(self._history.result())))

    async def adopt(self, other: "Keeper") -> None:
        """Take over all that another one holds."""
        await self.call(lambda history: history.adopt(other._history.result()))

    def close(self) -> None:
        """After all that was asked, close the history; does not wait."""
        self.is_closed = True
        self._thread.submit(lambda: self._history.result().close())
        self._thread.shutdown(wait=False)

    async def closed(self) -> None:
        """Close it, and wait until it is; nothing is left to do where it is closed already."""
        if not self.is_closed:
            await self.call(lambda history: history.close())
            self.is_closed = True
            self._thread.shutdown(wait=False)
