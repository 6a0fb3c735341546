"""Work in a thread of its own, so that the thread that waits for it can be interrupted at any moment.

Python runs a signal's handler in the main thread, between two steps of Python code. A main thread that is itself inside
llama.cpp would notice Ctrl-C only after the model is loaded or the prompt is read.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _End:
    """What the thread puts last: the error that ended it, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Job(Iterator[T], Generic[T]):
    """The items of an iterator that runs in a thread; what it raises is raised here."""

    def __init__(self, items: Iterator[T], abort: Callable[[], None]) -> None:
        """`abort` makes `items` end soon; it is called from the waiting thread."""
        self._items = items
        self._abort = abort
        self._queue: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="bedside-job", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._queue.put(item)
        except BaseException as caught:
            error = caught
        self._queue.put(_End(error))

    def __next__(self) -> T:
        item = self._queue.get()
        if not isinstance(item, _End):
            return item
        self._queue.put(item)
        if item.error is not None:
            raise item.error
        raise StopIteration

    def stop(self, timeout_s: float) -> bool:
        """Abort the work and wait for its end; False where it goes on, as it does while a model is being loaded."""
        self._abort()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()
